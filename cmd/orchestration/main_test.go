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

// The program as it ships: a key, the built-in detectors by the FMS detector API, the documented routes.
func TestRun(t *testing.T) {
	of, ctx := postgrestest.Migrated(t), context.Background()
	t.Chdir("../..")
	d := of("access")
	for name, value := range map[string]string{
		"ACCESS_DATABASE__HOST": d.Host, "ACCESS_DATABASE__PORT": fmt.Sprint(d.Port), "ACCESS_DATABASE__NAME": d.Name,
		"STATE_DIR": t.TempDir(), "HTTP__HOST": "127.0.0.1", "HTTP__ORCHESTRATION_PORT": "0",
	} {
		t.Setenv(config.Prefix+name, value)
	}
	c, err := config.Load("config/development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t, c)
	p, err := process.Start("orchestration", c, build)
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Serve(run) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	base := "http://" + p.Address().String()
	content := `{"contents":["write to jane@example.com","nothing"],"detector_params":{}}`
	var found [][]api.Detection
	for deadline := time.Now().Add(time.Minute); len(found) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if status, body := post(t, base+"/api/v1/text/contents", key, content); status == 200 {
			if err := json.Unmarshal(body, &found); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(found) != 2 || len(found[1]) != 0 || len(found[0]) == 0 || found[0][0].Text != "jane@example.com" || found[0][0].Start != 9 {
		t.Fatalf("%+v", found)
	}
	if status, _ := post(t, base+"/api/v1/text/contents", "", content); status != 401 {
		t.Errorf("without a key: %d", status)
	}
	routes(t, p)
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

func post(t *testing.T, url, key, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
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

// routes holds those that are this service's own to the document.
func routes(t *testing.T, p *process.Process) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("api/openapi-orchestration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var documented, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, r := range p.Router.Routes() {
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
