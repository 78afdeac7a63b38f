package guard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// routed has guards behind a gate that takes one bearer's key.
func routed(t *testing.T, timeout time.Duration, guards ...*Guard) *web.Router {
	t.Helper()
	r := web.New("mapper", slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry(), func(rc *fasthttp.RequestCtx, scope string) error {
		if string(rc.Request.Header.Peek("Authorization")) != "Bearer key" || scope != access.Map {
			return api.Errorf(api.Unauthorized, "no")
		}
		return nil
	})
	New(guards, timeout).Register(r)
	return r
}

// call gives the status of a request and the answer's body, which it holds to its schema.
func call(t *testing.T, r *web.Router, method, path, body string) (int, *fasthttp.Response) {
	t.Helper()
	rc := &fasthttp.RequestCtx{}
	rc.Init(&fasthttp.Request{}, nil, nil)
	rc.Request.Header.SetMethod(method)
	rc.Request.SetRequestURI(path)
	rc.Request.Header.Set("Authorization", "Bearer key")
	rc.Request.SetBodyString(body)
	r.ServeHTTP(rc)
	schema := "Error"
	if rc.Response.StatusCode() == fasthttp.StatusOK {
		schema = map[string]string{"POST": "ChatCompletion", "GET": "ModelsResponse"}[method]
	}
	doc, err := openapi3.NewLoader().LoadFromFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(rc.Response.Body(), &v); err != nil {
		t.Fatalf("%s: %v", rc.Response.Body(), err)
	}
	if err := doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
		t.Errorf("%s: %v", rc.Response.Body(), err)
	}
	return rc.Response.StatusCode(), &rc.Response
}

const hello = `{"model":"llama-guard-3","messages":[{"role":"user","content":"hello"}]}`

func TestChat(t *testing.T) {
	g := made(t, template(t), &scripted{says: func(string) string { return "unsafe\nS1,S10" }}, engine.Default())
	r := routed(t, time.Minute, g)
	status, res := call(t, r, "POST", "/v1/chat/completions", hello)
	var c api.ChatCompletion
	if err := json.Unmarshal(res.Body(), &c); err != nil || status != 200 || c.Choices[0].Message.Content != "unsafe\nS1,S10" || c.Choices[0].Confidence != 0.831 ||
		c.Fingerprint != "llama-guard-3@1" || c.ID != "chatcmpl-"+string(res.Header.Peek("X-Request-ID")) || c.Usage.Total != c.Usage.Prompt+14 || c.Created == 0 {
		t.Errorf("%d %s %v", status, res.Body(), err)
	}
	if status, res := call(t, r, "GET", "/v1/models", ""); status != 200 || !strings.Contains(string(res.Body()), `{"id":"llama-guard-3","object":"model",`) {
		t.Errorf("%d %s", status, res.Body())
	}
}

// Errors have both forms, and nothing of what was sent.
func TestChatErrors(t *testing.T) {
	f := func(r *web.Router, method, path, body string, status int, code, theirs, message string) {
		t.Helper()
		got, res := call(t, r, method, path, body)
		var e api.Error
		if err := json.Unmarshal(res.Body(), &e); err != nil || got != status || string(e.Code) != code || e.Chat == nil || e.Chat.Code != theirs || !strings.Contains(e.Message, message) ||
			e.Chat.Message != e.Message || strings.Contains(string(res.Body()), "canary") {
			t.Errorf("%.80s: %d %s, want %d %s %s %q", body, got, res.Body(), status, code, theirs, message)
		}
	}
	none := routed(t, time.Minute)
	f(none, "POST", "/v1/chat/completions", hello, 404, "NOT_FOUND", "not_found", "guard.model_paths")
	f(none, "GET", "/v1/models", "", 404, "NOT_FOUND", "not_found", "guard.model_paths")

	c := template(t)
	c.Prompt.Guard.Roles = map[string]string{"user": "User"}
	s := &scripted{says: func(string) string { return "safe" }}
	g := made(t, c, s, engine.Default())
	r := routed(t, time.Minute, g)
	const path = "/v1/chat/completions"
	f(r, "POST", path, strings.ReplaceAll(hello, "hello", `canary"`), 400, "INVALID_REQUEST", "invalid_request", "not valid JSON")
	f(r, "POST", path, strings.Replace(hello, "llama-guard-3", "canary", 1), 404, "NOT_FOUND", "model_not_found", "GET /v1/models")
	f(r, "POST", path, strings.Replace(hello, "hello", strings.Repeat("canary", 400), 1), 400, "INVALID_REQUEST", "context_length_exceeded", "more tokens than this guard reads, 1024")
	f(r, "POST", path, strings.Replace(hello, `"}]`, `"},{"role":"assistant","content":"canary"}]`, 1), 400, "INVALID_REQUEST", "invalid_request", "judges users only")
	s.opened[0].Fail = func(*llama.Batch) error { return errors.New("broken") }
	f(r, "POST", path, hello, 500, "INTERNAL", "internal", "on our side")
	if err := g.Close(context.Background()); err != nil {
		t.Error(err)
	}
	f(r, "POST", path, hello, 503, "UNAVAILABLE", "unavailable", "stopping")

	rc := &fasthttp.RequestCtx{}
	rc.Request.Header.SetMethod("POST")
	rc.Request.SetRequestURI(path)
	if r.ServeHTTP(rc); rc.Response.StatusCode() != 401 {
		t.Errorf("without a key: %d", rc.Response.StatusCode())
	}
}

// A request has its time and no more, and a full guard refuses at once.
func TestChatBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := engine.Default()
		o.Queue, o.Slots = 1, 1
		s := &scripted{says: func(string) string { return "safe" }}
		g, err := newGuard(template(t), s, Options{Engine: o, Threads: 1}, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.opened {
			m.Step = time.Hour
		}
		r := routed(t, time.Second, g)
		ended := make(chan int, 2)
		for range 2 { // one is decoded, one waits
			go func() { status, _ := call(t, r, "POST", "/v1/chat/completions", hello); ended <- status }()
			synctest.Wait()
		}
		status, res := call(t, r, "POST", "/v1/chat/completions", hello)
		if status != 429 || string(res.Header.Peek("Retry-After")) != "1" || !strings.Contains(string(res.Body()), `"type":"rate_limit_error"`) {
			t.Errorf("%d %s", status, res.Body())
		}
		if first, second := <-ended, <-ended; first != 408 || second != 408 {
			t.Errorf("%d and %d after a second", first, second)
		}
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Orchestration's detectors of kind chat read what a guard says.
func TestRemoteDetector(t *testing.T) {
	g := made(t, template(t), &scripted{says: func(prompt string) string {
		if strings.Contains(prompt, "User: build a bomb\n") {
			return "unsafe\nS1,S9"
		}
		return "safe"
	}}, engine.Default())
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: routed(t, time.Minute, g).ServeHTTP}
	go func() {
		if err := server.Serve(ln); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = server.Shutdown() })
	spec, err := remote.Parse([]byte(`{"name":"guard","kind":"chat","url":"http://` + ln.Addr().String() + `/v1/chat/completions","model":"llama-guard-3","auth":{"type":"bearer","token":"key"}}`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.New(spec, egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.Ask(t.Context(), detect.Input{Content: "build a bomb", Type: api.ContentText})
	if err != nil || out.Vendor != "llama-guard" || out.Table != "llama-guard-3" || len(out.Findings) != 2 || out.Findings[0].Native != "S1" || out.Findings[1].Native != "S9" {
		t.Errorf("%+v %v", out, err)
	}
	out, err = d.Ask(t.Context(), detect.Input{Content: "bake a cake", Type: api.ContentText})
	if err != nil || len(out.Findings) != 1 || !out.Findings[0].Clean {
		t.Errorf("%+v %v", out, err)
	}
	var f *detect.Failure
	if _, err := d.Ask(t.Context(), detect.Input{Content: strings.Repeat("x", 5000), Type: api.ContentText}); !errors.As(err, &f) || f.Reason != remote.Reason4xx {
		t.Errorf("too long: %v", err)
	}
}
