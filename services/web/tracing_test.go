package web

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/trace"
	"github.com/llama-mapper/llama-mapper/services/trace/tracetest"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	sampled      = "traceparent: 00-" + callersTrace + "-b7ad6b7169203331-01"
	notSampled   = "traceparent: 00-" + callersTrace + "-b7ad6b7169203331-00"
)

func startTracer(t *testing.T, url string, share float64) *trace.Tracer {
	t.Helper()
	tracer, err := trace.Start(t.Context(), config.Tracing{Endpoint: url, Sample: share}, "test", "1", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// traced answers one request, as a trusted peer or not, and returns the spans of it, by name.
func traced(t *testing.T, share float64, trusted bool, set func(*Router), raw string) (map[string]*spans.Span, *fasthttp.Response, *server, *tracetest.Collector) {
	t.Helper()
	collector := tracetest.New(t)
	tracer := startTracer(t, collector.URL, share)
	s := serveTCP(t, options(), func(r *Router) {
		r.Trace(tracer)
		if trusted {
			r.Trust([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
		}
		set(r)
	})
	res := s.send(t, raw)
	time.Sleep(10 * time.Millisecond) // the span ends before the answer leaves; this is for the queue
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	byName := map[string]*spans.Span{}
	for _, span := range collector.Spans() {
		byName[span.Name] = span
	}
	return byName, res, s, collector
}

func fine(r *Router) {
	r.Handle("GET", "/keys/{id}", Open, func(rc *fasthttp.RequestCtx) error {
		ctx, span := trace.Child(Context(rc), "look it up")
		defer span.End()
		span.Int("found", 1)
		trace.Inject(ctx, func(k, v string) { rc.Response.Header.Set("Sent-"+k, v) })
		return JSON(rc, 200, 1)
	})
	r.Handle("POST", "/busy", Open, func(*fasthttp.RequestCtx) error { return api.Errorf(api.Overloaded, "busy") })
	r.Handle("POST", "/bug", Open, func(*fasthttp.RequestCtx) error { return errors.New("cause") })
	r.Handle("POST", "/panic", Open, func(rc *fasthttp.RequestCtx) error {
		_, span := trace.Child(Context(rc), "dangerous")
		defer span.End()
		panic(string(rc.PostBody()))
	})
}

func TestSpan(t *testing.T) {
	f := func(raw, name, status, code string) {
		t.Helper()
		got, res, _, _ := traced(t, 1, true, fine, raw)
		span := got[name]
		if span == nil {
			t.Fatalf("%s: no span in %v", name, got)
		}
		method, route, _ := strings.Cut(name, " ")
		want := map[string]any{
			"http.request.method": method, "http.route": route, "http.response.status_code": int64(res.StatusCode()),
			"request_id": string(res.Header.Peek("X-Request-ID")),
		}
		if code != "" {
			want["error.type"] = code
		}
		if attributes := tracetest.Attributes(span); !reflect.DeepEqual(attributes, want) {
			t.Errorf("%s: %v, want %v", name, attributes, want)
		}
		if s := span.Status.GetCode().String(); s != status || span.Status.GetMessage() != "" || span.Kind != spans.Span_SPAN_KIND_SERVER || len(span.Events) > 0 {
			t.Errorf("%s: %v", name, span)
		}
	}
	f(request("GET", "/keys/7", ""), "GET /keys/{id}", "STATUS_CODE_UNSET", "")
	f(request("POST", "/busy", ""), "POST /busy", "STATUS_CODE_UNSET", "OVERLOADED")
	f(request("POST", "/bug", ""), "POST /bug", "STATUS_CODE_ERROR", "INTERNAL")
	f(request("POST", "/panic", "x"), "POST /panic", "STATUS_CODE_ERROR", "INTERNAL")
	f(request("GET", "/nowhere", ""), "other unmatched", "STATUS_CODE_UNSET", "NOT_FOUND")
	f(request("BREW", "/keys/7", ""), "other unmatched", "STATUS_CODE_UNSET", "METHOD_NOT_ALLOWED")
}

// The caller's trace, and its decision to sample, count where the caller is trusted.
func TestTraceparent(t *testing.T) {
	f := func(share float64, trusted bool, header string, spans int, callers bool) {
		t.Helper()
		got, res, _, _ := traced(t, share, trusted, fine, request("GET", "/keys/7", "", header))
		if len(got) != spans {
			t.Fatalf("%g, %v, %q: %v", share, trusted, header, got)
		}
		sent := string(res.Header.Peek("Sent-Traceparent"))
		if strings.Contains(sent, callersTrace) != callers || len(sent) != 55 || strings.HasSuffix(sent, "01") != (spans > 0) {
			t.Errorf("%g, %v, %q: sent %q", share, trusted, header, sent)
		}
		if spans == 0 {
			return
		}
		server, child := got["GET /keys/{id}"], got["look it up"]
		if in := hex.EncodeToString(server.TraceId) == callersTrace; in != callers || callers != (hex.EncodeToString(server.ParentSpanId) == "b7ad6b7169203331") {
			t.Errorf("%g, %v, %q: %v", share, trusted, header, server)
		}
		if !slices.Equal(child.ParentSpanId, server.SpanId) || !slices.Equal(child.TraceId, server.TraceId) || !strings.Contains(sent, hex.EncodeToString(child.SpanId)) {
			t.Errorf("the child %v of %v, sent %q", child, server, sent)
		}
	}
	f(0, true, sampled, 2, true)
	f(1, true, notSampled, 0, true)
	f(1, true, "X-Other: 1", 2, false)
	f(0, true, "X-Other: 1", 0, false)
	f(1, true, "traceparent: 00-junk-01", 2, false)
	f(0, false, sampled, 0, false)
	f(1, false, sampled, 2, false)
	f(1, false, notSampled, 2, false)
}

// What a client sends reaches no collector.
func TestSpansHoldNoContent(t *testing.T) {
	const canary = "canary4711"
	for _, line := range []string{
		"GET /keys/" + canary + "?" + canary, "GET /" + canary, canary + " /keys/1", "POST /bug?" + canary, "POST /panic", "POST /busy",
	} {
		method, path, _ := strings.Cut(line, " ")
		got, _, _, collector := traced(t, 1, true, fine, request(method, path, canary, sampled, "tracestate: a="+canary, "baggage: a="+canary, "X-Tenant-ID: "+canary, "User-Agent: "+canary,
			"Cookie: "+canary, "X-Request-ID: "+canary+"!", "X-Forwarded-For: "+canary))
		if len(got) == 0 || collector.Contains(canary) {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestTraceInLog(t *testing.T) {
	_, _, s, _ := traced(t, 0, true, fine, request("POST", "/bug", "", sampled))
	if !strings.Contains(s.logs.String(), "trace_id="+callersTrace) {
		t.Errorf("the log: %s", s.logs)
	}
	s = serve(t, fine)
	s.send(t, request("POST", "/bug", "", sampled))
	if strings.Contains(s.logs.String(), "trace_id") {
		t.Errorf("the log without tracing: %s", s.logs)
	}
}

// A collector that accepts and never answers, or that is not there, slows neither requests nor the end.
func TestDeadCollector(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, url := range []string{hanging.URL, "http://" + gone.Addr().String()} {
		tracer := startTracer(t, url, 1)
		r, send := local(nil, nil)
		fine(r)
		r.Trace(tracer)
		slowest := time.Duration(0)
		for range 5000 { // more than the queue takes
			start := time.Now()
			if rc := send("GET", "/keys/7"); rc.Response.StatusCode() != 200 {
				t.Fatal(rc.Response.StatusCode())
			}
			slowest = max(slowest, time.Since(start))
		}
		if slowest > time.Second { // an export takes two
			t.Errorf("%s: a request took %v", url, slowest)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := tracer.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: the end took %v", url, took)
		}
		if rc := send("GET", "/keys/7"); rc.Response.StatusCode() != 200 {
			t.Errorf("after the end: %d", rc.Response.StatusCode())
		}
	}
}

// Without a tracer and at INFO, a request costs what its path, its id and its error cost.
func TestOffCostsNothing(t *testing.T) {
	r, _ := local(nil, nil)
	r.Handle("POST", "/", Open, func(rc *fasthttp.RequestCtx) error {
		if _, span := trace.Child(Context(rc), "x"); span != (trace.Span{}) {
			t.Error("a span")
		}
		ClientIP(rc)
		return nil
	})
	var req fasthttp.Request
	req.SetRequestURI("/")
	req.Header.SetMethod("POST")
	req.Header.Set("X-Request-ID", "1")
	req.Header.Set("traceparent", strings.TrimPrefix(sampled, "traceparent: "))
	rc := &fasthttp.RequestCtx{}
	rc.Init(&req, nil, nil)
	if n := testing.AllocsPerRun(100, func() { r.ServeHTTP(rc) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}
