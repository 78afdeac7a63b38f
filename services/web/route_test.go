package web

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// local is a router without a server; handlers are called on ctx as fasthttp would.
func local(log *slog.Logger, gate Gate) (*Router, func(method, uri string) *fasthttp.RequestCtx) {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	r := New("test", log, prometheus.NewRegistry(), gate)
	return r, func(method, uri string) *fasthttp.RequestCtx {
		var req fasthttp.Request
		req.SetRequestURI(uri)
		req.Header.SetMethod(method)
		rc := &fasthttp.RequestCtx{}
		rc.Init(&req, nil, nil)
		r.ServeHTTP(rc)
		return rc
	}
}

func TestGate(t *testing.T) {
	asked, reached := "", false
	var refuse error
	r, send := local(nil, func(_ *fasthttp.RequestCtx, scope string) error {
		asked = scope
		return refuse
	})
	handler := func(rc *fasthttp.RequestCtx) error {
		reached = true
		return JSON(rc, 200, 1)
	}
	r.Handle("GET", "/open", Open, handler)
	r.Handle("GET", "/map", "map", handler)
	r.Handle("POST", "/keys/{id}", "admin", handler)
	f := func(method, path string, refusal error, status int, scope string) {
		t.Helper()
		asked, reached, refuse = "", false, refusal
		got := send(method, path).Response.StatusCode()
		if got != status || asked != scope || reached != (status == 200) {
			t.Errorf("%s %s: %d, the gate was asked for %q, handled: %v", method, path, got, asked, reached)
		}
	}
	f("GET", "/open", errors.New("never asked"), 200, "")
	f("GET", "/map", nil, 200, "map")
	f("GET", "/map", api.Errorf(api.Unauthorized, "who are you"), 401, "map")
	f("POST", "/keys/7", nil, 200, "admin")
	f("POST", "/keys/7", api.Errorf(api.Forbidden, "not you"), 403, "admin")
	f("GET", "/map", errors.New("the gate is broken"), 500, "map")
	f("DELETE", "/map", nil, 405, "") // what takes no request needs no gate
	r.gate = nil
	f("GET", "/map", nil, 500, "") // without a gate nobody gets in
	if want := (Route{"POST", "/keys/{id}", "admin"}); r.Routes()[2] != want {
		t.Errorf("routes: %v", r.Routes())
	}
}

func TestParameters(t *testing.T) {
	r, send := local(nil, nil)
	show := func(route string) Handler {
		return func(rc *fasthttp.RequestCtx) error {
			rc.SetBodyString(strings.Join([]string{route, Param(rc, "tenant"), Param(rc, "id")}, "|"))
			return nil
		}
	}
	r.Handle("GET", "/keys", Open, show("list"))
	r.Handle("GET", "/keys/self", Open, show("self"))
	r.Handle("GET", "/keys/{id}", Open, show("one"))
	r.Handle("DELETE", "/keys/{id}", Open, show("delete"))
	r.Handle("GET", "/tenants/{tenant}/keys", Open, show("keys"))
	r.Handle("GET", "/tenants/{id}/audit", Open, show("audit"))
	r.Handle("GET", "/tenants/{tenant}/keys/{id}", Open, show("key"))
	f := func(method, path, want string, status int) *fasthttp.RequestCtx {
		t.Helper()
		rc := send(method, path)
		if got := string(rc.Response.Body()); rc.Response.StatusCode() != status || status == 200 && got != want {
			t.Errorf("%s %s: %d %s", method, path, rc.Response.StatusCode(), got)
		}
		return rc
	}
	f("GET", "/keys", "list||", 200)
	f("GET", "/keys/self", "self||", 200) // before a pattern that fits as well
	f("GET", "/keys/7", "one||7", 200)
	f("GET", "/keys/a%20b?id=query", "one||a b", 200)
	f("DELETE", "/keys/7", "delete||7", 200)
	f("GET", "/tenants/acme/keys", "keys|acme|", 200)
	f("GET", "/tenants/acme/audit", "audit||acme", 200) // nothing is left of the pattern that fitted at first
	f("GET", "/tenants/acme/keys/7", "key|acme|7", 200)
	f("GET", "/keys/", "", 404)
	f("GET", "/keys/7/8", "", 404)
	f("GET", "/keys/7%2F8", "", 404)
	f("GET", "/tenants//keys", "", 404)
	f("GET", "/{id}", "", 404)
	f("GET", "/keys/{id}", "one||{id}", 200) // a value like any other
	if rc := f("PUT", "/keys/7", "", 405); string(rc.Response.Header.Peek("Allow")) != "GET, DELETE" {
		t.Errorf("Allow: %s", rc.Response.Header.Peek("Allow"))
	}
	if rc := f("DELETE", "/keys/self", "", 405); string(rc.Response.Header.Peek("Allow")) != "GET" {
		t.Errorf("Allow: %s", rc.Response.Header.Peek("Allow"))
	}
}

func TestReady(t *testing.T) {
	r, send := local(nil, nil)
	var parts []Part
	r.Probes(func() []Part { return parts }, prometheus.NewRegistry())
	f := func(status int, want string, now ...Part) {
		t.Helper()
		parts = now
		rc := send("GET", "/ready")
		if got := string(rc.Response.Body()); rc.Response.StatusCode() != status || !strings.Contains(got, want) || !json.Valid(rc.Response.Body()) {
			t.Errorf("%v: %d %s, want %d %s", now, rc.Response.StatusCode(), got, status, want)
		}
		if rc := send("GET", "/health"); rc.Response.StatusCode() != 200 {
			t.Errorf("/health: %d", rc.Response.StatusCode())
		}
	}
	down := errors.New("it is away")
	f(200, `{"parts":{},"status":"ready"}`)
	f(200, `{"parts":{"model":"ok","redis":"ok"},"status":"ready"}`, Part{Name: "model", Needed: true}, Part{Name: "redis"})
	f(200, `{"parts":{"model":"ok","redis":"it is away"},"status":"degraded"}`, Part{Name: "model", Needed: true}, Part{Name: "redis", Err: down})
	f(503, `"message":"not ready: model: it is away"`, Part{Name: "model", Needed: true, Err: down}, Part{Name: "redis", Err: down})
	f(503, `not ready: a: it is away; b: it is away"`, Part{Name: "a", Needed: true, Err: down}, Part{Name: "b", Needed: true, Err: down})
	r.draining.Store(true)
	f(503, "the service is stopping", Part{Name: "model"})
}

// At DEBUG every request has one line, of names from closed sets and numbers; above it has none.
func TestAccessLog(t *testing.T) {
	f := func(level slog.Level, method, uri string, want ...string) {
		t.Helper()
		logs := &lines{}
		r, send := local(slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})), nil)
		r.Handle("GET", "/keys/{id}", Open, func(rc *fasthttp.RequestCtx) error { return JSON(rc, 201, 1) })
		r.Handle("GET", "/bug", Open, func(*fasthttp.RequestCtx) error { return errors.New("cause") })
		send(method, uri)
		for _, part := range want {
			if !strings.Contains(logs.String(), part) {
				t.Errorf("%s %s: no %s in %s", method, uri, part, logs)
			}
		}
		if n := strings.Count(logs.String(), "msg=request "); n != map[bool]int{true: 1}[level == slog.LevelDebug] || strings.Contains(logs.String(), "canary") {
			t.Errorf("%s %s: %d lines in %s", method, uri, n, logs)
		}
	}
	f(slog.LevelDebug, "GET", "/keys/canary?canary", "request_id=", "route=/keys/{id}", "method=GET", "status=201", "milliseconds=")
	f(slog.LevelDebug, "CANARY", "/keys/canary", "route=unmatched", "method=other", "status=405")
	f(slog.LevelDebug, "GET", "/canary", "route=unmatched", "method=other", "status=404")
	f(slog.LevelDebug, "GET", "/bug", "route=/bug", "status=500", "level=ERROR")
	f(slog.LevelInfo, "GET", "/keys/canary")
	f(slog.LevelInfo, "GET", "/bug", "level=ERROR", "error_code=INTERNAL", "cause=cause")
}
