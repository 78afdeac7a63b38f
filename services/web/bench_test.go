package web

import (
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// What the router costs per request, without a network, for an answer, a path with a parameter, and a refusal.
func BenchmarkServeHTTP(b *testing.B) {
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r := New("test", log, prometheus.NewRegistry(), nil)
	answer := func(rc *fasthttp.RequestCtx) error {
		rc.SetBodyString("{}")
		return nil
	}
	r.Handle("POST", "/api/v1/map", Open, answer)
	r.Handle("GET", "/api/v1/keys/{id}", Open, answer)
	r.Handle("GET", "/refused", Open, func(*fasthttp.RequestCtx) error { return api.Errorf(api.Overloaded, "busy") })
	for _, c := range []struct{ name, method, path string }{
		{"answer", "POST", "/api/v1/map"}, {"parameter", "GET", "/api/v1/keys/17"}, {"refusal", "GET", "/refused"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var req fasthttp.Request
			req.SetRequestURI("http://h" + c.path)
			req.Header.SetMethod(c.method)
			var rc fasthttp.RequestCtx
			rc.Init(&req, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				rc.Response.Reset()
				r.ServeHTTP(&rc)
			}
		})
	}
}
