// Package processtest runs a service as its command does, on a database and a port of its own.
package processtest

import (
	"context"
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

// Service runs until the test ends.
type Service struct {
	*process.Process
	Key string // of an operator
}

// Run starts a service in the directory of its command.
func Run(t *testing.T, name string, build func(*process.Process) error) Service {
	t.Helper()
	of, ctx := postgrestest.Migrated(t), context.Background()
	t.Chdir("../..")
	d := of("access")
	for key, value := range map[string]string{
		"ACCESS_DATABASE__HOST": d.Host, "ACCESS_DATABASE__PORT": fmt.Sprint(d.Port), "ACCESS_DATABASE__NAME": d.Name,
		"STATE_DIR": t.TempDir(), "HTTP__HOST": "127.0.0.1", "HTTP__" + strings.ToUpper(name) + "_PORT": "0",
	} {
		t.Setenv(config.Prefix+key, value)
	}
	c, err := config.Load("config/development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t, c)
	p, err := process.Start(name, c, build)
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Serve(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s := Service{p, key}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := s.Do(t, http.MethodGet, "/ready", "", ""); status == http.StatusOK {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("not ready in a minute")
		}
	}
}

func newKey(t *testing.T, c config.Config) string {
	t.Helper()
	ctx := context.Background()
	secrets, err := access.NewSecrets(c)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(c.DatabaseOf("access"), "access", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := access.NewStore(pool, secrets)
	if _, err := store.EnsureTenant(ctx, "me"); err != nil {
		t.Fatal(err)
	}
	key, _, err := store.CreateKey(ctx, "me", access.NewKey{Role: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Do sends a request with a key and returns the status and the body.
func (s Service) Do(t *testing.T, method, path, key, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.Address().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, raw
}

// Documented holds the routes that are the service's own to an OpenAPI document.
func (s Service) Documented(t *testing.T, file string) {
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
		if r.Scope != "" && !strings.HasPrefix(r.Path, "/api/v1/api-keys") {
			routed = append(routed, r.Method+" "+r.Path)
		}
	}
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented %v, routed %v", documented, routed)
	}
}
