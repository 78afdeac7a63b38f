package trace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/trace/tracetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

var home = NewRoute("GET", "/home")

func start(t *testing.T, endpoint string, log io.Writer) *Tracer {
	t.Helper()
	tracer, err := Start(t.Context(), config.Tracing{Endpoint: endpoint, Sample: 1}, "mapper", "1.2.3", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// A service that traces nothing has a nil Tracer, and everything works with it.
func TestOff(t *testing.T) {
	tracer := start(t, "", io.Discard)
	if tracer != nil {
		t.Fatal("a tracer without an endpoint")
	}
	ctx, span := tracer.Request(home, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	child, below := Child(ctx, "child")
	for _, s := range []Span{span, below} {
		s.Int("n", 1)
		s.Label("l", "v")
		s.Fail("CODE")
		s.Answered(500, "CODE", "id")
		s.End()
	}
	Inject(child, func(k, v string) { t.Errorf("%s: %s", k, v) })
	if id := ID(child); id != "" {
		t.Error(id)
	}
	if err := tracer.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := Child(ctx, "child")
		span.Int("n", 1)
		Inject(ctx, func(string, string) {})
		span.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDelivery(t *testing.T) {
	collector := tracetest.New(t)
	tracer := start(t, collector.URL+"/", io.Discard)
	ctx, span := tracer.Request(home, "")
	_, below := Child(ctx, "child")
	below.Label("backend", "local")
	below.Label("long", strings.Repeat("x", 10*maxAttribute))
	below.Fail("UNAVAILABLE")
	below.End()
	sent := ""
	Inject(ctx, func(k, v string) { sent += k + "=" + v })
	if want := "traceparent=00-" + ID(ctx) + "-"; !strings.HasPrefix(sent, want) {
		t.Errorf("sent %q, want %s…", sent, want)
	}
	span.Answered(200, "", "id")
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := collector.Spans()
	if len(got) != 2 || got[0].Name != "child" || got[1].Name != "GET /home" {
		t.Fatalf("%v", got)
	}
	if a := tracetest.Attributes(got[0]); a["backend"] != "local" || a["error.type"] != "UNAVAILABLE" || len(a["long"].(string)) != maxAttribute {
		t.Errorf("%v", a)
	}
	if !collector.Contains("mapper") || !collector.Contains("1.2.3") {
		t.Error("no name or version of the service")
	}
	if _, ok := otel.GetTracerProvider().(interface{ ForceFlush(context.Context) error }); ok {
		t.Error("the global provider was set")
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A panic that passes a span leaves nothing of its value, through our Span or OpenTelemetry's.
func TestPanicsAreNotRecorded(t *testing.T) {
	collector := tracetest.New(t)
	tracer := start(t, collector.URL, io.Discard)
	ctx, span := tracer.Request(home, "")
	func() {
		defer func() { _ = recover() }()
		defer span.End()
		_, below := Child(ctx, "child")
		defer below.End()
		defer oteltrace.SpanFromContext(ctx).End()
		panic("canary")
	}()
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(collector.Spans()) != 2 || collector.Contains("canary") {
		t.Errorf("%v", collector.Spans())
	}
}

// A collector that refuses is in the log once, without what it says, and once more when it takes spans again.
func TestRefusals(t *testing.T) {
	log := &lines{}
	refuse := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refuse {
			http.Error(w, "canary", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	tracer := start(t, strings.Replace(s.URL, "//", "//user:password@", 1), log)
	for i := range 4 {
		refuse = i < 2
		_, span := tracer.Request(home, "")
		span.End()
		if err := tracer.provider.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	got := log.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "reason=refused lost=1") || !strings.Contains(got, "takes spans again") ||
		strings.Contains(got, "canary") || strings.Contains(got, "password") || strings.Contains(got, s.URL) {
		t.Errorf("the log: %s", got)
	}
}

// A redirect is not followed: spans go where the operator sends them.
func TestNoRedirect(t *testing.T) {
	elsewhere := tracetest.New(t)
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/v1/traces", http.StatusTemporaryRedirect))
	defer s.Close()
	log := &lines{}
	tracer := start(t, s.URL, log)
	_, span := tracer.Request(home, "")
	span.End()
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if len(elsewhere.Spans()) > 0 || !strings.Contains(log.String(), "reason=refused") {
		t.Errorf("%v; the log: %s", elsewhere.Spans(), log.String())
	}
}

// With a collector that hangs and a full queue, Shutdown ends in time, and nothing is sent after it.
func TestShutdownIsBounded(t *testing.T) {
	release := make(chan struct{})
	var batches atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		batches.Add(1)
		<-release
	}))
	defer s.Close()
	defer close(release)
	log := &lines{}
	tracer := start(t, s.URL, log)
	for range 2 * queued {
		_, span := tracer.Request(home, "")
		span.End()
	}
	began := time.Now()
	err := tracer.Shutdown(context.Background())
	if took := time.Since(began); err != nil || took > stopTimeout+10*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	time.Sleep(time.Second) // what was on its way arrives
	sent := batches.Load()
	if time.Sleep(exportTimeout + 500*time.Millisecond); batches.Load() > sent {
		t.Errorf("%d batches were sent after the end", batches.Load()-sent)
	}
	if got := log.String(); !strings.Contains(got, "reason=timeout") || !strings.Contains(got, "the last spans") {
		t.Errorf("the log: %s", got)
	}
}

func TestBadEndpoint(t *testing.T) {
	if _, err := Start(t.Context(), config.Tracing{Endpoint: "http://user:password@host:port\x00"}, "mapper", "1", nil); err == nil || strings.Contains(err.Error(), "password") {
		t.Error(err)
	}
}

// What a sampled and an unsampled request cost.
func BenchmarkRequest(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	for _, share := range []float64{0, 1} {
		b.Run(fmt.Sprintf("sample=%g", share), func(b *testing.B) {
			tracer, err := Start(b.Context(), config.Tracing{Endpoint: s.URL, Sample: share}, "mapper", "1", slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Request(home, "")
				span.Answered(200, "", "id")
			}
			if err := tracer.Shutdown(context.Background()); err != nil {
				b.Log(err)
			}
		})
	}
}
