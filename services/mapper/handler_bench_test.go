package mapper

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// discard records nothing.
type discard struct{}

func (discard) Keep(context.Context, *access.Tenant, []audit.Entry) error { return nil }

// What a request costs apart from the network and the model: an answer, and a refusal.
func BenchmarkHandler(b *testing.B) {
	k := knowledge(b)
	k.Tables = nil
	for finding, want := range map[string]int{"answered": fasthttp.StatusOK, "refused": fasthttp.StatusTooManyRequests} {
		b.Run(finding, func(b *testing.B) {
			reg := prometheus.NewRegistry()
			router := web.New("mapper", slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})), reg, enter)
			New(scripted{"refused": ErrOverloaded}, k, DefaultOptions(), reg).Register(router, discard{}, nil)
			var req fasthttp.Request
			req.SetRequestURI("http://h/api/v1/map")
			req.Header.SetMethod(fasthttp.MethodPost)
			req.SetBodyString(body("my-guard", strconv.Quote(finding)))
			var rc fasthttp.RequestCtx
			rc.Init(&req, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				rc.Response.Reset()
				router.ServeHTTP(&rc)
				if rc.Response.StatusCode() != want {
					b.Fatal(rc.Response.StatusCode())
				}
			}
		})
	}
}
