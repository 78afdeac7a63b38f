// Package process is the life of a service, the same for all: settings, logs, metrics, who may ask, a port, what runs
// beside the requests, and an end in the opposite order.
package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/limit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/redis"
	"github.com/llama-mapper/llama-mapper/services/trace"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Version is the release, set by the linker: -X github.com/llama-mapper/llama-mapper/services/process.Version=1.2.3
var Version = "dev"

// Process is a service that starts. What build adds to it runs with it.
type Process struct {
	Name    string
	Config  config.Config
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Router  *web.Router
	Secrets *access.Secrets
	Keys    *access.Directory
	Redis   *redis.Client

	listener net.Listener
	parts    []func() web.Part
	run      []func(context.Context) // beside the requests, until they have ended
	ends     []func(context.Context) error
}

// Main is the main function of a service: it reads the settings file that -config names, starts, and serves until
// SIGTERM or SIGINT. build adds what the service is.
func Main(name string, build func(*Process) error) {
	path := flag.String("config", "config/development.yaml", "settings file; see config/config.go")
	flag.Parse()
	if err := runMain(name, *path, build); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func runMain(name, path string, build func(*Process) error) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	p, err := Start(name, c, build) // a signal before it returns ends the process at once: there is nothing to drain
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return p.Serve(ctx)
}

// Start takes the port and builds the service. The port comes first: a second start must fail before it loads a model.
func Start(name string, c config.Config, build func(*Process) error) (*Process, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // of a heap of tens of megabytes; TestDrillCacheHit answers 4 to 5 % more than with 100
	}
	p := &Process{Name: name, Config: c, Log: newLogger(c), Metrics: prometheus.NewRegistry()}
	p.Metrics.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	port := map[string]int{"mapper": c.HTTP.MapperPort, "orchestration": c.HTTP.OrchestrationPort, "analysis": c.HTTP.AnalysisPort}[name]
	var err error
	p.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(c.HTTP.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%w; set http.%s_port if something else has it", err, name)
	}
	if err = p.platform(); err == nil {
		err = build(p)
	}
	if err != nil {
		return nil, errors.Join(err, p.close(context.Background()), p.listener.Close())
	}
	p.Router.Probes(p.state, p.Metrics)
	return p, nil
}

// platform makes what every service has.
func (p *Process) platform() error {
	c := p.Config
	var err error
	if p.Secrets, err = access.NewSecrets(c); err != nil {
		return err
	}
	pool, err := postgres.Open(c.DatabaseOf("access"), "access", p.Metrics)
	if err != nil {
		return err
	}
	p.OnEnd(func(context.Context) error { pool.Close(); return nil })
	p.Redis = redis.Open(c.Redis, p.Metrics)
	p.OnEnd(func(context.Context) error { return p.Redis.Close() })
	p.Keys = access.NewDirectory(pool, p.Secrets, filepath.Join(c.StateDir, "access-"+p.Name+".json"), p.Log)
	limiter := limit.New(p.Redis, p.Metrics)
	tracer, err := trace.Start(context.Background(), c.Tracing, p.Name, Version, p.Log)
	if err != nil {
		return err
	}
	p.OnEnd(tracer.Shutdown)
	proxies, err := web.ParseNetworks(c.HTTP.TrustedProxies)
	if err != nil {
		return err
	}
	p.Router = web.New(p.Name, p.Log, p.Metrics, access.NewGate(p.Keys, limiter, c.Limits).Check)
	p.Router.Trust(proxies)
	p.Router.Trace(tracer)
	access.NewStore(pool, p.Secrets).Register(p.Router)
	p.Go(p.Keys.Run)
	p.Go(limiter.Run)
	p.Part("keys", true, p.Keys.State)
	p.Part("postgres", false, p.Keys.Fresh)
	p.Part("redis", false, p.redisState)
	return nil
}

func (p *Process) redisState() error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if p.Redis.Ping(ctx) != nil {
		return errors.New("away; each replica limits on its own, and an Idempotency-Key has no effect")
	}
	return nil
}

// Go has f run from Serve on, and ends its context once the last request was answered.
func (p *Process) Go(f func(context.Context)) { p.run = append(p.run, f) }

// OnEnd has f called at the end; what was added last ends first.
func (p *Process) OnEnd(f func(context.Context) error) { p.ends = append(p.ends, f) }

// Part adds a line to /ready. needed says whether the service cannot answer without the part.
func (p *Process) Part(name string, needed bool, state func() error) {
	p.parts = append(p.parts, func() web.Part { return web.Part{Name: name, Err: state(), Needed: needed} })
}

func (p *Process) state() []web.Part {
	parts := make([]web.Part, len(p.parts))
	for i, read := range p.parts {
		parts[i] = read()
	}
	return parts
}

// Address is where the service listens.
func (p *Process) Address() net.Addr { return p.listener.Addr() }

// Serve answers until ctx ends, lets what is running finish, and ends everything.
func (p *Process) Serve(ctx context.Context) error {
	h := p.Config.HTTP
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	for _, f := range p.run {
		running.Go(func() { f(beside) })
	}
	running.Go(func() {
		if err := web.Pprof(beside, h.PprofPort); err != nil {
			p.Log.Error("there is no pprof", "cause", err.Error())
		}
	})
	p.Log.Info("ready", "address", p.Address().String())
	err := p.Router.Serve(ctx, p.listener, web.Options{
		ReadTimeout: MS(h.ReadTimeout), WriteTimeout: MS(h.WriteTimeout), IdleTimeout: MS(h.IdleTimeout),
		DrainTimeout: MS(h.DrainTimeout), Connections: h.Connections, TLSCert: h.TLSCert, TLSKey: h.TLSKey,
	})
	stop()
	running.Wait()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), MS(h.DrainTimeout))
	defer cancel()
	err = errors.Join(err, p.close(drain))
	p.Log.Info("stopped")
	return err
}

func (p *Process) close(ctx context.Context) error {
	var errs []error
	for i := len(p.ends) - 1; i >= 0; i-- {
		errs = append(errs, p.ends[i](ctx))
	}
	return errors.Join(errs...)
}

func newLogger(c config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))); err != nil || c.Debug {
		level = slog.LevelDebug // config has checked log_level
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// MS is a number of milliseconds.
func MS(n int) time.Duration { return time.Duration(n) * time.Millisecond }
