//go:build llama

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// What a client sends as content is afterwards in no log, metric, trace, table, journal, dump or error message.
func TestCanaryNowhere(t *testing.T) {
	const canary = "canary4711"
	store := processtest.Store(t)
	k := processtest.Key(t, store, "me", "operator")
	var mu sync.Mutex
	var traces bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := io.Copy(&traces, r.Body); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	t.Setenv(config.Prefix+"TRACING__ENDPOINT", collector.URL)
	t.Setenv(config.Prefix+"TRACING__SAMPLE", "1")
	logs, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	p := startProcess(t, "checkpoints/mapper-tiny", logs)
	s := p.Service
	sendCanaries(t, s, k, canary)
	processtest.Until(t, "traced", func() bool { mu.Lock(); defer mu.Unlock(); return traces.Len() > 0 })
	places := map[string][]byte{"metrics": metrics(t, s), "database": dump(t), "redis": dumpRedis(t)}
	p.Kill()
	places["log"] = read(t, logs.Name())
	err = filepath.WalkDir(os.Getenv(config.Prefix+"STATE_DIR"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	places["traces"] = traces.Bytes()
	mu.Unlock()
	for place, raw := range places {
		if i := bytes.Index(raw, []byte(canary)); i >= 0 {
			t.Errorf("%s has the canary: %q", place, raw[max(0, i-200):min(len(raw), i+100)])
		}
		if len(raw) == 0 && !strings.HasSuffix(place, "lock") {
			t.Errorf("%s is empty", place)
		}
	}
}

// sendCanaries puts the canary wherever a client can, and waits for the events.
func sendCanaries(t *testing.T, s processtest.Service, k, canary string) {
	t.Helper()
	said := []string{
		`{"detector":"x","output":"the user wrote ` + canary + `"}`, `{"detector":"x","output":"` + canary + `"}`, `{"detector":"` + canary + ` says","output":"toxic"}`,
		`{"detector":"presidio","output":[{"entity_type":"PERSON","score":0.5,"text":"` + canary + `"}]}`, `{"detector":"presidio","output":[{"entity_type":"` + canary + `"}]}`,
		`{"detector":"x","output":"toxic","metadata":{"` + canary + `":"` + canary + `"}}`, `{"requests":[{"detector":"x","output":"` + canary + `"}]}`, canary, `{"` + canary + `":1}`,
		`{"detector":"x","output":"toxic","tenant_id":"` + canary + `"}`, `{"detector":"x","output":"` + strings.Repeat(canary, 5000) + `"}`,
	}
	answered := 0
	for _, path := range []string{"/api/v1/map", "/api/v1/map/batch", "/api/v1/map?source=model", "/api/v1/map?source=" + canary, "/api/v1/jobs", "/api/v1/jobs/" + canary + "/result", "/api/v1/" + canary, "/api/v1/events?after=" + canary, "/api/v1/api-keys/" + canary} {
		for i, body := range said {
			var e api.Error
			status := s.Do(t, "POST", path, k, body, &e, "X-Request-ID", fmt.Sprint("canary ", canary, i), "Idempotency-Key", fmt.Sprint(canary, i, path), "User-Agent", canary, "Cookie", canary)
			if status == 200 {
				answered++
			} else if strings.Contains(e.Message, canary) {
				t.Errorf("%s %s: %+v", path, body, e)
			}
		}
	}
	s.Do(t, "POST", "/api/v1/map", canary, bomb, nil)
	processtest.Until(t, "events", func() bool {
		var page api.EventsResponse
		return s.Do(t, "GET", "/api/v1/events?limit=1000", k, "", &page) == 200 && len(page.Events) >= answered-2 && answered > 10
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func metrics(t *testing.T, s processtest.Service) []byte {
	t.Helper()
	res, err := http.Get(s.Base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// dump is the whole database as pg_dump writes it.
func dump(t *testing.T) []byte {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	if err != nil || len(programs) == 0 {
		t.Fatal("there is no pg_dump")
	}
	server := postgrestest.Server(t)
	name := os.Getenv(config.Prefix + "MAPPER_DATABASE__NAME")
	raw, err := exec.Command(programs[0], server[:strings.LastIndex(server, "/")+1]+name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// dumpRedis is every key with its value.
func dumpRedis(t *testing.T) []byte {
	t.Helper()
	ctx := context.Background()
	c := processtest.Settings(t).Redis
	db := goredis.NewClient(&goredis.Options{Addr: net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), Password: string(c.Password)})
	defer db.Close()
	var out bytes.Buffer
	keys := db.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		value, err := db.Dump(ctx, keys.Val()).Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			t.Fatal(err)
		}
		out.WriteString(keys.Val() + value)
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
