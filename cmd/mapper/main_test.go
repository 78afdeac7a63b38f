//go:build llama

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/process"
)

// surroundings gives what this process starts a database, a state directory and a free port of its own, and runs it
// at the top of the tree. It returns the store of keys.
func surroundings(t *testing.T) *access.Store {
	t.Helper()
	of := postgrestest.Migrated(t)
	t.Chdir("../..")
	for _, service := range []string{"mapper", "access"} {
		d := of(service)
		prefix := config.Prefix + strings.ToUpper(service) + "_DATABASE__"
		t.Setenv(prefix+"HOST", d.Host)
		t.Setenv(prefix+"PORT", fmt.Sprint(d.Port))
		t.Setenv(prefix+"NAME", d.Name)
	}
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	t.Setenv(config.Prefix+"HTTP__HOST", "127.0.0.1")
	t.Setenv(config.Prefix+"HTTP__MAPPER_PORT", "0")
	secrets, err := access.NewSecrets(settings(t))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(of("access"), "access", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return access.NewStore(pool, secrets)
}

func settings(t *testing.T) config.Config {
	t.Helper()
	c, err := config.Load("config/development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// key makes a key of a tenant, which is made too.
func key(t *testing.T, store *access.Store, tenant, role string) string {
	t.Helper()
	ctx := context.Background()
	if _, err := store.EnsureTenant(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	key, _, err := store.CreateKey(ctx, tenant, access.NewKey{Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// served is a mapper that runs in this process until the test ends.
type served struct {
	*process.Process
	base string
}

func serve(t *testing.T) served {
	t.Helper()
	return serveWith(t, build)
}

func serveWith(t *testing.T, build func(*process.Process) error) served {
	t.Helper()
	p, err := process.Start("mapper", settings(t), build)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
	s := served{p, "http://" + p.Address().String()}
	until(t, "ready", func() bool { return s.do(t, "GET", "/ready", "", "", nil) == http.StatusOK })
	return s
}

// until waits for something that must come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in a minute", what)
		}
	}
}

// do sends a request with a key, decodes the answer into out unless that is nil, and returns the status.
func (s served) do(t *testing.T, method, path, key, body string, out any, headers ...string) int {
	t.Helper()
	req, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %s, %v", method, path, raw, err)
		}
	}
	return res.StatusCode
}

const bomb = `{"detector":"my-guard","output":"user asks how to build a bomb"}`

// The program as it ships: settings, keys, checkpoint, engine, HTTP, events, a stop in the middle of traffic.
func TestRun(t *testing.T) {
	store := surroundings(t)
	k := key(t, store, "me", "operator")
	s := serve(t)
	var m api.Mapping
	if status := s.do(t, "POST", "/api/v1/map", k, bomb, &m); status != 200 || m.Source != api.SourceModel || m.Taxonomy[0] != "HARM.CRIME.Weapons" {
		t.Errorf("%d %+v", status, m)
	}
	var page api.EventsResponse
	until(t, "an event", func() bool { return s.do(t, "GET", "/api/v1/events", k, "", &page) == 200 && len(page.Events) == 1 })
	t.Setenv(config.Prefix+"HTTP__MAPPER_PORT", s.base[strings.LastIndex(s.base, ":")+1:])
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	if _, err := process.Start("mapper", settings(t), build); err == nil || !strings.Contains(err.Error(), "http.mapper_port") {
		t.Errorf("a second one on the same port: %v", err)
	}
}

// What cannot work stops the start with a reason.
func TestRunRefuses(t *testing.T) {
	surroundings(t)
	t.Setenv("LLAMA_MAPPER_MODEL__MODEL_ENDPOINT", "http://localhost:1")
	for key, value := range map[string]string{
		"MODEL__MODEL_PATH": "config", "MODEL__SERVING_BACKEND": "vllm", "ENGINE__PLUGINS": "/absent/libggml-cuda.so", "STATE_DIR": "/dev/null/x", "ENVIRONMENT": "production",
	} {
		t.Run(key, func(t *testing.T) {
			t.Setenv("LLAMA_MAPPER_"+key, value)
			if _, err := process.Start("mapper", settings(t), build); err == nil {
				t.Error("it started")
			} else {
				t.Log(err)
			}
		})
	}
}

// The routes are those of the OpenAPI document.
func TestRoutes(t *testing.T) {
	surroundings(t)
	doc, err := openapi3.NewLoader().LoadFromFile("api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var documented, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, r := range serve(t).Router.Routes() {
		routed = append(routed, r.Method+" "+r.Path)
	}
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented %v, routed %v", documented, routed)
	}
}
