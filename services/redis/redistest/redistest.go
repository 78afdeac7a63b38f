// Package redistest gives a test a Redis of its own, which it may kill, freeze and start again.
package redistest

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/redis"
)

// Patience is how long anything may take on a slow machine before a test fails.
const Patience = 30 * time.Second

// Server is a Redis of one test. It keeps nothing on disk: after Kill and Restart it is empty.
type Server struct {
	Config config.Redis    // where it is, with its password
	Addr   string          // the same as host:port
	Admin  *goredis.Client // a patient client without a circuit, to look at what is there

	t       testing.TB
	dir     string
	process *exec.Cmd
	exited  chan struct{} // closed once process has ended
}

// Start starts a Redis that ends with the test. Without redis-server the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server; apt-get install redis-server brings it")
	}
	logging.Disable()
	s := &Server{t: t, dir: t.TempDir()}
	s.Config = config.Redis{Host: "127.0.0.1", Password: config.Secret(rand.Text())}
	for range 20 { // another process can take the port before Redis does
		s.Config.Port = freePort(t)
		s.Addr = net.JoinHostPort(s.Config.Host, strconv.Itoa(s.Config.Port))
		s.Admin = goredis.NewClient(&goredis.Options{
			Addr: s.Addr, Password: string(s.Config.Password), DialTimeout: Patience, ReadTimeout: Patience, DialerRetries: 1, MaxRetries: -1,
		})
		if s.run() {
			t.Cleanup(func() {
				_ = s.Admin.Close()
				s.Kill()
			})
			return s
		}
		_ = s.Admin.Close()
	}
	t.Fatal("redis-server does not start; see why with redis-server --port 0")
	return nil
}

// freePort picks a port below those that the kernel gives to outgoing connections, so that a killed server finds it
// free again.
func freePort(t testing.TB) int {
	t.Helper()
	var lc net.ListenConfig
	for range 1000 {
		port := 20000 + mathrand.IntN(12000)
		if l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close() //nolint:errcheck // it has nothing to report
			return port
		}
	}
	t.Fatal("no port from 20000 to 31999 is free")
	return 0
}

// run starts the process and waits until it answers; it returns false if the process ends before.
func (s *Server) run() bool {
	s.t.Helper()
	s.process = exec.CommandContext(context.Background(), "redis-server", "-")
	s.process.Stdin = strings.NewReader(fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\ndir %s\n",
		s.Config.Port, string(s.Config.Password), s.dir))
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that crashes leaves no server behind
	started, exited := make(chan error), make(chan struct{})
	process := s.process
	go func() {
		runtime.LockOSThread() // Pdeathsig fires at the end of the thread that started the process
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := process.Start()
		started <- err
		if err == nil {
			process.Wait() //nolint:errcheck // it is killed in the end
		}
	}()
	s.exited = exited
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-exited:
			return false
		default:
		}
		if s.Admin.Ping(context.Background()).Err() == nil { // the password makes sure that it is ours
			return true
		}
	}
	s.Kill()
	return false
}

// Kill ends the server as kill -9 does, and returns when it is gone.
func (s *Server) Kill() {
	s.process.Process.Kill() //nolint:errcheck // it may have ended before
	<-s.exited
}

// Restart starts a killed server again, at the same address and with the same password.
func (s *Server) Restart() {
	s.t.Helper()
	for range 20 {
		if s.run() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("redis-server does not start again at %s; something else listens there", s.Addr)
}

// Freeze stops the server in its tracks: connections are accepted, and nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Open makes a client with timeouts that a slow machine does not exceed, and closes it with the test.
func (s *Server) Open(reg prometheus.Registerer, change ...func(*goredis.Options)) *redis.Client {
	patient := func(o *goredis.Options) {
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = Patience, Patience, Patience, Patience
	}
	c := redis.Open(s.Config, reg, append([]func(*goredis.Options){patient}, change...)...)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Eventually waits until what holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", Patience, what)
		}
	}
}
