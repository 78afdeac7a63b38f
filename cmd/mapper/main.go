// Command mapper serves canonical labels for detectors' outputs. The engine is in the process.
//
//	mapper -config config/development.yaml
package main

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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/web"
)

func main() {
	path := flag.String("config", "config/development.yaml", "settings file; see config/config.go")
	flag.Parse()
	if err := run(*path); err != nil {
		fmt.Fprintln(os.Stderr, "mapper:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	s, err := start(c) // a signal before it returns ends the process at once: there is nothing to drain
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return s.serve(ctx)
}

// server is everything that runs, built upwards.
type server struct {
	http    config.HTTP
	log     *slog.Logger
	ln      net.Listener
	model   model
	control net.Listener // nil where one checkpoint is served, without a store
	router  *web.Router
}

// model is one checkpoint, or the versions of a store.
type model interface {
	mapper.Model
	Close(context.Context) error
}

// start takes the port, loads the model and wires the routes.
func start(c config.Config) (_ *server, err error) {
	log := newLogger(c)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return nil, err
	}
	tables, err := mapper.ParseTables(config.Detectors(), taxonomy)
	if err != nil {
		return nil, err
	}
	// The port is taken first: a second start must fail before it loads a model.
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(c.HTTP.Host, strconv.Itoa(c.HTTP.MapperPort)))
	if err != nil {
		return nil, fmt.Errorf("%w; set http.mapper_port if something else has it", err)
	}
	model, control, err := loadModel(c, log, taxonomy, reg)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	service := mapper.New(model, taxonomy, tables, mapper.Options{
		Threshold: c.Mapping.Threshold, Thresholds: c.Mapping.Thresholds, Timeout: ms(c.Mapping.TimeoutMS),
	}, reg)
	router := web.New("mapper", log, reg)
	router.Probes(func() error { return nil }, reg)
	service.Register(router)
	log.Info("ready", "address", ln.Addr().String(), "model", model.Version(), "taxonomy", taxonomy.Version)
	return &server{http: c.HTTP, log: log, ln: ln, model: model, control: control, router: router}, nil
}

// serve answers until ctx ends, then drains and closes downwards.
func (s *server) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var operators sync.WaitGroup
	if versions, ok := s.model.(*mapper.Versions); ok {
		operators.Go(func() {
			if err := control.Serve(ctx, s.control, func(ctx context.Context, c control.Command) control.Reply { return s.command(ctx, versions, c) }); err != nil {
				s.log.Error("checkpoints cannot be changed until a restart", "cause", err.Error())
			}
		})
	}
	err := s.router.Serve(ctx, s.ln, web.Options{
		ReadTimeout: ms(s.http.ReadTimeout), WriteTimeout: ms(s.http.WriteTimeout), IdleTimeout: ms(s.http.IdleTimeout),
		DrainTimeout: ms(s.http.DrainTimeout), Connections: s.http.Connections,
	})
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), ms(s.http.DrainTimeout))
	defer cancel()
	stop()
	operators.Wait()
	err = errors.Join(err, s.model.Close(drain))
	s.log.Info("stopped")
	return err
}

// loadModel opens llama.cpp and loads the checkpoint, or the active one of a store; then it also takes the
// store's control socket.
func loadModel(c config.Config, log *slog.Logger, taxonomy *mapper.Taxonomy, reg prometheus.Registerer) (model, net.Listener, error) {
	if c.Model.ServingBackend != "local" {
		return nil, nil, fmt.Errorf("model.serving_backend: %s is not served by this release; set local and model_path", c.Model.ServingBackend)
	}
	if err := openLibrary(c, log); err != nil {
		return nil, nil, err
	}
	o := engine.Default()
	o.Queue, o.Slots, o.Step = c.Engine.Queue, c.Engine.Slots, ms(c.Engine.StepMS)
	load := func(ckpt *checkpoint.Checkpoint) (*mapper.Local, error) {
		return mapper.NewLocal(ckpt, taxonomy, mapper.LocalOptions{
			Engine: o, Lanes: c.Engine.Lanes, Threads: c.Engine.Threads, Cores: min(runtime.GOMAXPROCS(0), runtime.NumCPU()), GPULayers: c.Engine.GPULayers,
		}, reg)
	}
	path := c.Model.ModelPath
	if !checkpoint.IsStore(path) {
		ckpt, err := checkpoint.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("model.model_path: %w", err)
		}
		one, err := load(ckpt)
		return one, nil, err
	}
	store, err := checkpoint.OpenStore(path)
	if err != nil {
		return nil, nil, fmt.Errorf("model.model_path: %w", err)
	}
	versions, err := mapper.NewVersions(store, load)
	if err != nil {
		return nil, nil, fmt.Errorf("model.model_path: %w", err)
	}
	ln, err := control.Listen(filepath.Join(path, control.Socket))
	if err != nil {
		return nil, nil, errors.Join(err, versions.Close(context.Background()))
	}
	return versions, ln, nil
}

func openLibrary(c config.Config, log *slog.Logger) error {
	llama.SetLogger(log)
	if err := llama.Open(""); err != nil {
		return err
	}
	for _, path := range c.Engine.Plugins {
		if err := llama.LoadPlugin(path); err != nil {
			return err
		}
	}
	devices, err := llama.Devices()
	if err != nil {
		return err
	}
	for _, d := range devices {
		log.Info("device", "name", d.Name, "description", d.Description, "gpu", d.GPU, "free_mb", d.MemoryFree>>20, "total_mb", d.MemoryTotal>>20)
	}
	return nil
}

// command does what an operator asks of the versions.
func (s *server) command(ctx context.Context, v *mapper.Versions, c control.Command) control.Reply {
	err := v.Do(ctx, c)
	s.log.Info("checkpoint command", "action", c.Action, "version", c.Version, "active", v.Version(), "failed", err != nil)
	now := v.Status()
	reply := control.Reply{Active: now.Active, Canary: now.Canary, Percent: now.Percent}
	if err != nil {
		reply.Error = err.Error()
	}
	return reply
}

func newLogger(c config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))); err != nil || c.Debug {
		level = slog.LevelDebug // config has checked log_level
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }
