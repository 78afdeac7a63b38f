package mapper

import (
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// What an answer from the cache costs apart from the network and the disk: with its event, and without.
func BenchmarkHit(b *testing.B) {
	dir, err := os.MkdirTemp("/dev/shm", "journal")
	if err != nil {
		b.Skip(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close() //nolint:errcheck // it is thrown away
	caller := accesstest.Caller(b, "t1")
	for name, recorder := range map[string]Recorder{"recorded": audit.NewLog(j), "not": discard{}} {
		b.Run(name, func(b *testing.B) {
			reg := prometheus.NewRegistry()
			router := web.New("mapper", slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})), reg, func(rc *fasthttp.RequestCtx, _ string) error {
				caller.Enter(rc)
				return nil
			})
			o := DefaultOptions()
			if o.Cache, err = NewCache(16, nil, []byte("secret"), reg); err != nil {
				b.Fatal(err)
			}
			k := knowledge(b)
			m := scripted{"user asks how to build a bomb": Answer{Label: "HARM.CRIME.Weapons", Confidence: 0.95, Version: scripted{}.Version()}}
			New(m, k, o, reg).Register(router, recorder, nil)
			var req fasthttp.Request
			req.SetRequestURI("http://h/api/v1/map")
			req.Header.SetMethod(fasthttp.MethodPost)
			req.SetBodyString(`{"detector":"my-guard","output":"user asks how to build a bomb"}`)
			var rc fasthttp.RequestCtx
			rc.Init(&req, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				rc.Response.Reset()
				router.ServeHTTP(&rc)
				if rc.Response.StatusCode() != fasthttp.StatusOK {
					b.Fatal(rc.Response.StatusCode())
				}
			}
		})
	}
}
