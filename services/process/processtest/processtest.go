// Package processtest runs a service as its command does, on a database, a state directory and a port of its own.
package processtest

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

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/process"
)

// Environment gives what the test starts a database, a state directory and free ports, at the top of the tree. The test
// is two directories below it.
func Environment(t *testing.T, of func(service string) config.Database) {
	t.Helper()
	t.Chdir("../..")
	for _, service := range postgres.Services {
		d := of(service)
		prefix := config.Prefix + strings.ToUpper(service) + "_DATABASE__"
		t.Setenv(prefix+"HOST", d.Host)
		t.Setenv(prefix+"PORT", fmt.Sprint(d.Port))
		t.Setenv(prefix+"NAME", d.Name)
	}
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	t.Setenv(config.Prefix+"HTTP__HOST", "127.0.0.1")
	for _, service := range []string{"MAPPER", "ORCHESTRATION", "ANALYSIS"} {
		t.Setenv(config.Prefix+"HTTP__"+service+"_PORT", "0")
	}
}

// Store is Environment on migrated schemas, and the store of keys there.
func Store(t *testing.T) *access.Store {
	t.Helper()
	of := postgrestest.Migrated(t)
	Environment(t, of)
	return OpenStore(t, Settings(t))
}

// OpenStore opens the store of keys that settings lead to.
func OpenStore(t *testing.T, c config.Config) *access.Store {
	t.Helper()
	secrets, err := access.NewSecrets(c)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(c.DatabaseOf("access"), "access", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return access.NewStore(pool, secrets)
}

// Settings are those of development in the environment of now.
func Settings(t *testing.T) config.Config {
	t.Helper()
	c, err := config.Load("config/development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Key makes a key of a tenant, which is made too.
func Key(t *testing.T, store *access.Store, tenant, role string) string {
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

// Service is something at an address that answers, in this process or another.
type Service struct {
	*process.Process // nil in another process
	Base             string
}

// Serve runs a service until the test ends, and returns once it is ready.
func Serve(t *testing.T, name string, build func(*process.Process) error) Service {
	t.Helper()
	p, err := process.Start(name, Settings(t), build)
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
	s := Service{p, "http://" + p.Address().String()}
	Until(t, "ready", func() bool { return s.Do(t, http.MethodGet, "/ready", "", "", nil) == http.StatusOK })
	return s
}

// Until waits for something that must come.
func Until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in a minute", what)
		}
	}
}

// Do sends a request with a key and headers, decodes the answer into out unless that is nil, and returns the status.
func (s Service) Do(t *testing.T, method, path, key, body string, out any, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.Base+path, strings.NewReader(body))
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

// Documented holds the routes of a service to an OpenAPI document; shared are the beginnings of those that another
// document has.
func (s Service) Documented(t *testing.T, file string, shared ...string) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var documented, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, r := range s.Router.Routes() {
		if !slices.ContainsFunc(shared, func(prefix string) bool { return strings.HasPrefix(r.Path, prefix) }) {
			routed = append(routed, r.Method+" "+r.Path)
		}
	}
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented %v, routed %v", documented, routed)
	}
}

// Shared are the beginnings of the routes that all services have, and openapi.yaml documents.
var Shared = []string{"/health", "/ready", "/metrics", "/api/v1/api-keys"}
