package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// served is a registry behind a gate that lets callers in by their tenant's name.
type served struct {
	*fixture
	directory    *registry.Directory
	router       *web.Router
	logged, said bytes.Buffer // what was logged, and all responses
}

// secret is one that goes nowhere.
const secret = "canary-1fd08a"

// at is where the tests' detectors would be.
const at = "http://127.0.0.1:9999"

// known has one label; the only program that is right is empty.
var known = policy.Known{Labels: []string{"PII.Other"}, Programs: func(program string) error {
	if program == "" {
		return nil
	}
	return api.Errorf(api.InvalidRequest, "rego: it does not compile")
}}

// described is a detector with a secret.
func described(name, url, token, rest string) string {
	return `{"name":"` + name + `","kind":"presidio","url":"` + url + `","auth":{"type":"bearer","token":"` + token + `"}` + rest + `}`
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{fixture: newFixture(t)}
	t.Cleanup(func() {
		if s.said.Len() == 0 || s.logged.Len() == 0 || strings.Contains(s.said.String()+s.logged.String(), secret) {
			t.Errorf("the secret is in a response or in the log: %s\n%s", &s.said, &s.logged)
		}
	})
	s.log = slog.New(slog.NewTextHandler(&s.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.directory, _ = s.fixture.directory(t, "copy.json")
	s.router = web.New("orchestration", s.log, prometheus.NewRegistry(), func(rc *fasthttp.RequestCtx, _ string) error {
		map[string]access.Caller{"a": s.a, "b": s.b}[string(rc.Request.Header.Peek("X-Tenant-ID"))].Enter(rc)
		return nil
	})
	registry.New(s.store, s.directory, []detect.Source{detect.Builtin(urls.New(), "SECURITY")}, guard, known).Register(s.router)
	s.directory.Follow(ctx)
	return s
}

// do sends a request of a tenant, and wants a status and that the answer has some text.
func (s *served) do(t *testing.T, tenant, request, body string, status int, has string, headers ...string) (tag string) {
	t.Helper()
	var rc fasthttp.RequestCtx
	rc.Init(&fasthttp.Request{}, nil, nil)
	method, path, _ := strings.Cut(request, " ")
	rc.Request.Header.SetMethod(method)
	rc.Request.SetRequestURI("/api/v1/" + path)
	rc.Request.Header.Set("X-Tenant-ID", tenant)
	for i := 0; i < len(headers); i += 2 {
		rc.Request.Header.Set(headers[i], headers[i+1])
	}
	rc.Request.SetBodyString(body)
	s.router.ServeHTTP(&rc)
	got := string(rc.Response.Body())
	s.said.WriteString(got)
	if rc.Response.StatusCode() != status || !strings.Contains(got, has) {
		t.Errorf("%s: %d %s\nwant %d with %s", request, rc.Response.StatusCode(), got, status, has)
	}
	return string(rc.Response.Header.Peek("ETag"))
}

// The life of a detector over HTTP.
func TestDetectors(t *testing.T) {
	s := newServed(t)
	mine := described("mine", at, secret, "")
	if tag := s.do(t, "a", "POST detectors", mine, 201, `"name":"mine","version":"1"`); tag != `"1"` {
		t.Errorf("ETag %s", tag)
	}
	s.do(t, "a", "POST detectors", mine, 409, "PUT makes")
	s.do(t, "a", "GET detectors", "", 200, `{"name":"mine","version":"1","labels":[],"kind":"presidio","content_types":["text","code","document"],"covers":["PII"],"health":"unknown"}]`)
	s.do(t, "a", "GET detectors", "", 200, `"kind":"built-in","content_types":["text","code","document"],"covers":["SECURITY"],"health":"healthy"}`)
	s.do(t, "b", "GET detectors", "", 200, `"health":"healthy"}]}`)
	s.do(t, "a", "GET detectors/mine", "", 200, `"token":"****"`)
	s.do(t, "a", "GET detectors/urls", "", 200, `"kind":"built-in"`)
	s.do(t, "b", "GET detectors/mine", "", 404, "")
	s.do(t, "a", "PUT detectors/mine", mine, 200, `"version":"1"`)
	s.do(t, "a", "PUT detectors/mine", described("mine", at, secret, `,"window":100`), 201, `"version":"2"`, "If-Match", `"1"`)
	s.do(t, "a", "PUT detectors/mine", mine, 409, "CONFLICT", "If-Match", `"1"`)
	s.do(t, "a", "GET detectors/mine?version=1", "", 200, `"version":"1"`)
	s.do(t, "a", "GET detectors/mine?version=9", "", 404, "")
	s.do(t, "a", "GET detectors/mine?version=x", "", 400, "number")
	s.do(t, "a", "GET detectors/mine/versions", "", 200, `{"versions":[{"version":2,"active":true,"hash":"hmac:`)
	s.do(t, "a", "GET detectors/mine/health", "", 200, `{"state":"unknown","failures":0}`)
	s.do(t, "a", "GET detectors/urls/health", "", 200, `"healthy"`)
	s.do(t, "b", "GET detectors/mine/health", "", 404, "")
	s.do(t, "b", "DELETE detectors/mine", "", 404, "")
	s.do(t, "a", "DELETE detectors/mine", "", 409, "", "If-Match", `"1"`)
	s.do(t, "a", "DELETE detectors/mine", "", 204, "", "If-Match", `"2"`)
	s.do(t, "a", "PUT detectors/mine", mine, 404, "")
	s.do(t, "a", "GET detectors/mine", "", 404, "")
	s.do(t, "a", "GET detectors/mine?version=2", "", 200, `"window":100`)
}

// What stands for a secret keeps it, while it goes to the same hosts.
func TestKeep(t *testing.T) {
	s := newServed(t)
	s.do(t, "a", "POST detectors", described("mine", at, secret, ""), 201, "")
	s.do(t, "a", "PUT detectors/mine", described("mine", at, "****", ""), 200, `"version":"1"`)
	s.do(t, "a", "PUT detectors/mine", described("mine", at+"/v2", "****", `,"window":100`), 201, `"version":"2"`)
	s.do(t, "a", "PUT detectors/mine", described("mine", "http://127.0.0.1:9998", "****", ""), 400, "same hosts")
	s.do(t, "a", "PUT detectors/mine", described("mine", at, "****", `,"health_url":"http://127.0.0.1:9998"`), 400, "same hosts")
	s.do(t, "a", "PUT detectors/mine", `{"kind":"presidio","url":"`+at+`","auth":{"type":"api_key","key":"****"}}`, 400, "there is none")
	s.do(t, "b", "POST detectors", described("mine", at, "****", ""), 400, "there is none")
	e, err := s.store.Get(ctx, s.a.Tenant, registry.Detectors, "mine", 2)
	if spec, parseErr := remote.Parse(e.Text); err != nil || parseErr != nil || spec.Auth.Token != secret {
		t.Errorf("the secret was not kept: %v %v", err, parseErr)
	}
}

// What is refused, and that what this release cannot read is still there to be replaced.
func TestDetectorFaults(t *testing.T) {
	s := newServed(t)
	for _, c := range []struct {
		body   string
		status int
		has    string
	}{
		{described("mine", "http://10.0.0.1:9999", secret, ""), 400, "url"},
		{described("urls", at, secret, ""), 409, "built-in"},
		{described("un_der", at, secret, ""), 400, "a-z"},
		{described("mine", at, secret, `,"`+secret+`":1`), 400, "not known"},
		{described("mine", at, secret, `,"model":"`+secret+`"`), 400, "model"},
		{described("mine", at, secret, `,"template":"`+strings.Repeat("x", 17000)+`"`), 413, "16384"},
		{"", 400, "not"},
	} {
		s.do(t, "a", "POST detectors", c.body, c.status, c.has)
	}
	s.do(t, "a", "PUT detectors/other", described("mine", at, secret, ""), 400, "path")
	s.do(t, "a", "PUT detectors/mine", described("mine", at, secret, ""), 400, "ETag", "If-Match", "x")

	s.put(t, s.a, registry.Detectors, "old", `{"name":"old","kind":"future"}`, true)
	s.put(t, s.a, registry.Detectors, "new", `{"name":"new","`+secret+`":1}`, true)
	s.directory.Follow(ctx)
	s.do(t, "a", "GET detectors/old", "", 200, `"kind":"future","content_types":[],"covers":[],"health":"unknown"`)
	s.do(t, "a", "GET detectors/new", "", 400, "cannot read")
	s.do(t, "a", "PUT detectors/new", described("new", at, "****", ""), 400, "cannot read")
	s.do(t, "a", "PUT detectors/new", described("new", at, secret, ""), 201, `"version":"2"`)
}

// The life of a policy over HTTP.
func TestPolicies(t *testing.T) {
	s := newServed(t)
	s.do(t, "a", "GET policies", "", 200, `{"policies":[{"name":"default","version":0,"newest":0,"active":0,"hash":"`)
	s.do(t, "a", "GET policies/default", "", 200, `"policy":"name: default\ndescription: it ships\n"`)
	s.do(t, "a", "GET policies/default?version=1", "", 404, "")
	s.do(t, "a", "POST policies", "name: default\ndescription: one\n", 201, `"version":1,"newest":1,"active":1`)
	s.do(t, "a", "POST policies", "name: default\ndescription: one\n", 200, `"version":1`)
	if tag := s.do(t, "a", "POST policies?activate=false", `{"name":"default","description":"two"}`, 201, `"version":2,"newest":2,"active":1`, "If-Match", `"1"`); tag != `"2"` {
		t.Errorf("ETag %s", tag)
	}
	s.do(t, "a", "POST policies", "name: default\ndescription: three", 409, "", "If-Match", `"1"`)
	if got := floor(s.directory, s.a); got != "one 1" {
		t.Error(got)
	}
	s.do(t, "a", "POST policies/default/activate", `{"version":2}`, 200, `"version":2,"newest":2,"active":2`)
	if got := floor(s.directory, s.a) + "; " + floor(s.directory, s.b); got != "two 2; it ships 0" {
		t.Error(got)
	}
	s.do(t, "a", "POST policies/default/activate", `{"version":1}`, 409, "", "If-Match", `"1"`)
	s.do(t, "a", "POST policies/default/activate", `{"version":3}`, 404, "")
	s.do(t, "a", "POST policies/default/activate", `{"version":0}`, 400, "1 or more")
	s.do(t, "b", "POST policies/default/activate", `{"version":1}`, 404, "")
	s.do(t, "a", "GET policies/default", "", 200, `"policy":"{\"name\":\"default\",\"description\":\"two\"}"`)
	s.do(t, "a", "GET policies/default?version=1", "", 200, `"policy":"name: default\ndescription: one\n"`)
	s.do(t, "a", "GET policies", "", 200, `{"policies":[{"name":"default","version":2,`)
	s.do(t, "a", "GET policies/default/versions", "", 200, `"version":1,"active":false`)
	s.do(t, "a", "DELETE policies/default", "", 204, "")
	s.do(t, "a", "DELETE policies/default", "", 404, "")
	if got := floor(s.directory, s.a); got != "it ships 0" {
		t.Error(got)
	}
	s.do(t, "a", "POST policies", "name: default\nlost: 1\n", 400, "lost")
	s.do(t, "a", "POST policies?activate=maybe", "name: x", 400, "true or false")
	s.do(t, "a", "POST policies", "name: "+strings.Repeat("x", policy.MaxPolicy), 413, "")
	s.do(t, "a", "POST policies", "name: x\nrego: x\n", 400, "compile")
	s.do(t, "a", "GET policies/x", "", 404, "")
}

// Validation says what POST would refuse, and what is doubtful.
func TestValidate(t *testing.T) {
	s := newServed(t)
	s.put(t, s.a, registry.Policies, "beside", "name: beside", true)
	s.directory.Follow(ctx)
	for body, want := range map[string]string{
		"name: x\ndetectors: {urls: {}}\ncontent_types: [text]\n":                                        `"findings":[]}`,
		"name: x\ndetectors: {urls: {}, mine: {}}\ncontent_types: [text]\n":                              `"faults":[],"findings":["detectors.mine: `,
		"name: x\ndetectors: {urls: {}}\ncontent_types: [text]\nshadow: {policy: none}\n":                `"faults":[],"findings":["shadow.policy: `,
		"name: x\ndetectors: {urls: {}}\ncontent_types: [text]\nshadow: {policy: beside}\n":              `"findings":[]}`,
		"name: x\ndetectors: {urls: {}}\ncontent_types: [text]\nrules:\n- {labels: [X.*], action: flag}": `"valid":true,"hash":"`,
		"name: x\nrego: x\n":                             `{"valid":false,`,
		"name: x\nlost: 1\n":                             `{"valid":false,"faults":["line 2: `,
		"name: x\ndeadline_ms: 0\nunmapped: shout":       `","line 3: `,
		"name: X\n":                                      `"faults":["name: `,
		"name: " + strings.Repeat("x", policy.MaxPolicy): "at most 65536 bytes",
	} {
		s.do(t, "a", "POST policies/validate", body, 200, want)
	}
}

// Reading is for everyone with a key, changes are for admins.
func TestScopes(t *testing.T) {
	r := web.New("orchestration", quiet, prometheus.NewRegistry(), nil)
	registry.New(nil, nil, nil, guard, known).Register(r)
	for _, route := range r.Routes() {
		want := access.Admin
		if route.Method == fasthttp.MethodGet {
			want = access.Read
		}
		if route.Scope != want {
			t.Errorf("%+v, want %s", route, want)
		}
	}
}

// Every secret of a description is one that keep and the mask know of.
func TestSecrets(t *testing.T) {
	var s remote.Spec
	n := 0
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[config.Secret]():
			n++
			v.SetString(fmt.Sprint("canary", n))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		}
	}
	walk(reflect.ValueOf(&s).Elem())
	raw, err := json.Marshal(s.Masked())
	if err != nil || n == 0 || len(registry.SecretsOf(&s)) != n || strings.Contains(string(raw), "canary") {
		t.Errorf("%d secrets of %d, %s, %v", len(registry.SecretsOf(&s)), n, raw, err)
	}
}
