package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/api"
)

// fasthttp's sweeper of idle workers sees a stop only at its next tick, and its clock never stops.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// server is a router on a listener of its own.
type server struct {
	dial func() (net.Conn, error)
	logs *lines
	*Router
	stop context.CancelFunc
	done chan error
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func options() Options {
	return Options{ReadTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Second, DrainTimeout: 10 * time.Second, Connections: 64}
}

// serve serves in memory, where nobody has an address.
func serve(t *testing.T, set func(*Router)) *server {
	t.Helper()
	ln := fasthttputil.NewInmemoryListener()
	return serveOn(t, ln, ln.Dial, options(), set)
}

// serveTCP serves on 127.0.0.1.
func serveTCP(t *testing.T, o Options, set func(*Router)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, o, set)
}

func serveOn(t *testing.T, ln net.Listener, dial func() (net.Conn, error), o Options, set func(*Router)) *server {
	t.Helper()
	s := &server{dial: dial, logs: &lines{}, done: make(chan error, 1)}
	reg := prometheus.NewRegistry()
	r := New("test", slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), reg, nil)
	r.Probes(func() []Part { return nil }, reg)
	s.Router = r
	if set != nil {
		set(r)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.done <- r.Serve(ctx, ln, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// send writes a raw request on a connection of its own and returns the response with its body.
func (s *server) send(t *testing.T, raw string) *fasthttp.Response {
	t.Helper()
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go conn.Write([]byte(raw)) // the server may answer before it has read it all
	return read(t, conn)
}

func read(t *testing.T, conn net.Conn) *fasthttp.Response {
	t.Helper()
	var res fasthttp.Response
	if err := res.Read(bufio.NewReader(conn)); err != nil {
		t.Fatal(err)
	}
	return &res
}

func request(method, path, body string, headers ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", method, path, len(body), strings.Join(append(headers, ""), "\r\n"), body)
}

func TestErrors(t *testing.T) {
	s := serve(t, func(r *Router) {
		r.Handle("POST", "/fine", Open, func(rc *fasthttp.RequestCtx) error { return JSON(rc, 200, 1) })
		r.Handle("GET", "/panic", Open, func(*fasthttp.RequestCtx) error { panic("secret-in-panic") })
		r.Handle("GET", "/bug", Open, func(*fasthttp.RequestCtx) error { return errors.New("cause") })
		r.Handle("GET", "/busy", Open, func(*fasthttp.RequestCtx) error {
			e := api.Errorf(api.Overloaded, "busy")
			e.RetryAfter = 1500 * time.Millisecond
			return e
		})
		r.Handle("GET", "/late", Open, func(*fasthttp.RequestCtx) error { return context.DeadlineExceeded })
	})
	f := func(raw string, status int, code api.Code) *fasthttp.Response {
		t.Helper()
		res := s.send(t, raw)
		var e api.Error
		if err := json.Unmarshal(res.Body(), &e); err != nil || res.StatusCode() != status || e.Code != code || e.Message == "" || e.RequestID == "" ||
			string(res.Header.Peek("X-Request-ID")) != e.RequestID {
			t.Errorf("%.40q: got %d %s, %v; want %d %s", raw, res.StatusCode(), res.Body(), err, status, code)
		}
		return res
	}
	f(request("GET", "/nowhere", ""), 404, api.NotFound)
	if res := f(request("GET", "/fine", ""), 405, api.MethodNotAllowed); string(res.Header.Peek("Allow")) != "POST" {
		t.Errorf("Allow: %s", res.Header.Peek("Allow"))
	}
	f(request("GET", "/panic", ""), 500, api.Internal)
	f(request("GET", "/bug", ""), 500, api.Internal)
	f(request("GET", "/late", ""), 408, api.RequestTimeout)
	if res := f(request("GET", "/busy", ""), 429, api.Overloaded); string(res.Header.Peek("Retry-After")) != "2" {
		t.Errorf("Retry-After: %s", res.Header.Peek("Retry-After"))
	}
	f(request("POST", "/fine", strings.Repeat("x", api.MaxBody+1)), 413, api.PayloadTooLarge)
	f(request("GET", "/health", "", "X-Big: "+strings.Repeat("x", 9000)), 400, api.InvalidRequest)
	f("nonsense\r\n\r\n", 400, api.InvalidRequest)
	if strings.Contains(s.logs.String(), "secret-in-panic") {
		t.Error("a panic's value is in the log")
	}
}

func TestRequestID(t *testing.T) {
	s := serve(t, nil)
	f := func(sent string, kept bool) {
		t.Helper()
		got := string(s.send(t, request("GET", "/health", "", "X-Request-ID: "+sent)).Header.Peek("X-Request-ID"))
		if (got == sent) != kept || got == "" {
			t.Errorf("%q became %q", sent, got)
		}
	}
	f("abc-1.2_Z", true)
	f("with space", false)
	f("", false)
	f(strings.Repeat("a", 65), false)
}

// What a client sends is in no log line and no metric.
func TestCanary(t *testing.T) {
	const canary = "canary4711"
	s := serve(t, func(r *Router) {
		r.Handle("POST", "/bug", Open, func(*fasthttp.RequestCtx) error { return errors.New("cause") })
	})
	s.send(t, request("POST", "/bug?"+canary, canary, "X-Other: "+canary))
	s.send(t, request("POST", "/"+canary, canary))
	s.send(t, request(canary, "/bug", canary))
	s.send(t, canary+"\r\n\r\n")
	metrics := s.send(t, request("GET", "/metrics", "")).Body()
	if bytes.Contains(metrics, []byte(canary)) || strings.Contains(s.logs.String(), canary) {
		t.Errorf("the canary is in the metrics or the log:\n%s", s.logs)
	}
	for _, want := range []string{
		`http_requests_total{method="POST",route="/bug",service="test",status="500"} 1`,
		`http_requests_total{method="other",route="unmatched",service="test",status="404"} 1`,
		`http_request_duration_seconds_count{method="POST",route="/bug",service="test"} 1`,
	} {
		if !bytes.Contains(metrics, []byte(want)) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

// After a stop, a running request gets its answer, and Serve returns.
func TestDrain(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(r *Router) {
		r.Handle("GET", "/slow", Open, func(rc *fasthttp.RequestCtx) error {
			close(running)
			<-release
			return JSON(rc, 200, "answer")
		})
	})
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(request("GET", "/slow", ""))); err != nil {
		t.Fatal(err)
	}
	<-running
	s.stop()
	for !s.draining.Load() {
		runtime.Gosched()
	}
	close(release)
	if res := read(t, conn); res.StatusCode() != 200 || !res.ConnectionClose() {
		t.Errorf("got %d, close %v", res.StatusCode(), res.ConnectionClose())
	}
}

// A stop that comes before the first request could is a stop, too.
func TestStoppedAtOnce(t *testing.T) {
	gone, stop := context.WithCancel(context.Background())
	stop()
	for range 100 { // whether the server has begun by then is chance
		r := New("test", slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(*fasthttp.RequestCtx, string) error { return nil })
		done := make(chan error, 1)
		go func() { done <- r.Serve(gone, fasthttputil.NewInmemoryListener(), options()) }()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it has not ended in a minute")
		}
	}
}
