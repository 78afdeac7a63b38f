package orchestration

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// ownServer serves our built-in detectors to who has the key.
func ownServer(t *testing.T) string {
	router := web.New("orchestration", slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(rc *fasthttp.RequestCtx, _ string) error {
		if string(rc.Request.Header.Peek("X-API-Key")) != secret {
			return api.Errorf(api.Unauthorized, "no key")
		}
		return nil
	})
	router.Handle(fasthttp.MethodPost, "/api/v1/text/contents", "orchestrate", Contents{pii.New(), secrets.New()}.post)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: router.ServeHTTP, Logger: slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Shutdown()
		<-served
	})
	return "http://" + l.Addr().String()
}

const secret = "SECRET-7f3a"

func made(t *testing.T, spec remote.Spec) *remote.Detector {
	t.Helper()
	d, err := remote.New(spec, egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func failed(t *testing.T, err error, reason string) {
	t.Helper()
	var f *detect.Failure
	if !errors.As(err, &f) || f.Reason != reason {
		t.Errorf("%v, want %s", err, reason)
	}
}

// Our own server of the FMS detector API says to our own client what the built-in detector says itself.
func TestOwnServer(t *testing.T) {
	spec := remote.Spec{Name: "ours", Kind: "fms", URL: ownServer(t), Covers: []string{"PII"}, Auth: remote.Auth{Type: "api_key", Key: secret}, Params: remote.Params{DetectorID: "pii", Threshold: 0.3}}
	d := made(t, spec)
	for _, content := range []string{
		"fine", "Grüße 🎉, jane@example.com und john@example.com", "card 4111 1111 1111 1111, ssn 536-90-4399, \"quoted\" \xff", "", "{{content}} \u0000 \u2028 jane@example.com",
	} {
		in := detect.Input{Content: content, Type: api.ContentText}
		got, err := d.Ask(context.Background(), in)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		direct, err := detect.Builtin(pii.New()).Ask(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, f := range direct.Findings {
			if f.Clean || *f.Score >= spec.Params.Threshold {
				want[f.Native] = len(f.Spans)
			}
		}
		for _, f := range got.Findings {
			if n, ok := want[f.Native]; !ok || n < len(f.Spans) || !f.Clean && len(f.Spans) == 0 {
				t.Errorf("%q: %+v, itself it says %+v", content, f, direct.Findings)
			}
			for _, s := range f.Spans {
				if s.Byte[1] > len(content) || []rune(content)[s.Rune[0]] != []rune(content[s.Byte[0]:])[0] {
					t.Errorf("%q: %v and %v are two places", content, *s.Byte, *s.Rune)
				}
			}
			delete(want, f.Native)
		}
		if len(want) > 0 {
			t.Errorf("%q: %v are missing in %+v", content, want, got.Findings)
		}
	}
	wantNoKey := spec
	wantNoKey.Auth.Key = "other"
	_, err := made(t, wantNoKey).Ask(context.Background(), detect.Input{Content: "x", Type: api.ContentText})
	failed(t, err, remote.ReasonAuth)
	unknown := spec
	unknown.Params.DetectorID = "unknown"
	_, err = made(t, unknown).Ask(context.Background(), detect.Input{Content: "x", Type: api.ContentText})
	failed(t, err, remote.Reason4xx)
}
