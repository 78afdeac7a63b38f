package bulk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/limit"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/web"
)

var ctx = context.Background()

// scripted is a Mapper whose answers say what they were asked.
type scripted struct {
	mu      sync.Mutex // guards asked
	asked   map[string]int
	running atomic.Int64
	peak    atomic.Int64
	step    time.Duration
	busy    atomic.Int64 // times it says OVERLOADED first
	release chan struct{}
}

func (m *scripted) Map(ctx context.Context, t *access.Tenant, req api.MapRequest, modelOnly bool) (*api.Mapping, error) {
	if n := m.running.Add(1); n > m.peak.Load() {
		m.peak.Store(n)
	}
	defer m.running.Add(-1)
	if !engine.IsBackground(ctx) {
		return nil, api.Errorf(api.InvalidRequest, "it comes before requests")
	}
	if m.busy.Add(-1) >= 0 {
		e := api.Errorf(api.Overloaded, "busy")
		e.RetryAfter = time.Millisecond
		return nil, e
	}
	m.mu.Lock()
	m.asked[req.Output]++
	m.mu.Unlock()
	select {
	case <-m.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	time.Sleep(m.step)
	switch {
	case strings.HasPrefix(req.Output, "refuse"):
		return nil, api.Errorf(api.InvalidRequest, "refused")
	case strings.HasPrefix(req.Output, "panic"):
		panic(req.Output)
	}
	return &api.Mapping{Notes: req.Output, Source: api.SourceModel, Confidence: 1, Taxonomy: []string{"OTHER.Safe"}, Provenance: api.Provenance{Detector: req.Detector, TenantID: req.TenantID}}, nil
}

func (m *scripted) View(rc *fasthttp.RequestCtx) (v api.View, err error) {
	switch string(rc.QueryArgs().QueryString()) {
	case "":
	case "source=model":
		v.ModelOnly = true
	default:
		err = api.Errorf(api.InvalidRequest, "the query may be source=model")
	}
	return v, err
}

func (m *scripted) Show(*api.Mapping, api.View) {}

func (m *scripted) Event(c access.Caller, a *api.Mapping, _ time.Time) api.Event {
	return api.Event{Time: time.Now(), TenantID: c.Tenant.ID, KeyID: c.Key.ID, Detector: a.Provenance.Detector, Taxonomy: a.Taxonomy, Source: a.Source}
}

// fixture is a replica with its HTTP server, on a database that others may share.
type fixture struct {
	*Service
	of     func(string) config.Database
	store  *access.Store
	keys   *access.Directory
	pool   *pgxpool.Pool
	mapper *scripted
	base   string
	stop   func()
	logs   *bytes.Buffer
}

func newFixture(t *testing.T, of func(string) config.Database) *fixture {
	t.Helper()
	m := &scripted{asked: map[string]int{}, release: make(chan struct{})}
	close(m.release)
	f := newFixtureOf(t, of, m, func(*web.Router) {})
	f.mapper = m
	return f
}

// newFixtureOf makes one with a mapper, whose own routes are registered too.
func newFixtureOf(t *testing.T, of func(string) config.Database, m Mapper, register func(*web.Router)) *fixture {
	t.Helper()
	if of == nil {
		of = postgrestest.Migrated(t)
	}
	master := config.Secret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	secrets, err := access.NewSecrets(config.Config{Access: config.Access{MasterKey: master}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{of: of, pool: postgrestest.Pool(t, of("mapper"), "mapper"), logs: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	access1 := postgrestest.Pool(t, of("access"), "access")
	f.store = access.NewStore(access1, secrets)
	f.keys = access.NewDirectory(access1, secrets, filepath.Join(t.TempDir(), "access.json"), log)
	if f.Service, err = New(postgrestest.Pool(t, of("mapper"), "mapper"), m, f.keys, log, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	f.river.Patience = 100 * time.Millisecond
	r := web.New("test", log, prometheus.NewRegistry(), access.NewGate(f.keys, limit.New(nil, prometheus.NewRegistry()), config.Limits{}).Check)
	f.Register(r)
	register(r)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.base = "http://" + ln.Addr().String()
	beside, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f.Run(beside) })
	running.Go(func() {
		o := web.Options{ReadTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Second, DrainTimeout: 5 * time.Second, Connections: 64}
		if err := r.Serve(beside, ln, o); err != nil {
			t.Error(err)
		}
	})
	f.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(f.stop)
	return f
}

// key makes a key of a tenant.
func (f *fixture) key(t *testing.T, tenant string) string {
	t.Helper()
	if _, err := f.store.EnsureTenant(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	key, _, err := f.store.CreateKey(ctx, tenant, access.NewKey{Role: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	return key
}

func (f *fixture) do(t *testing.T, method, path, key string, body io.Reader, out any, headers ...string) int {
	t.Helper()
	req, err := http.NewRequest(method, f.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
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
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = raw
	default:
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %s, %v", method, path, raw, err)
		}
	}
	return res.StatusCode
}

// upload makes a job.
func (f *fixture) upload(t *testing.T, key, body string) api.Job {
	t.Helper()
	var j api.Job
	if status := f.do(t, "POST", "/api/v1/jobs", key, strings.NewReader(body), &j); status != 202 {
		t.Fatalf("%d %+v", status, j)
	}
	return j
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in a minute", what)
		}
	}
}

// ended waits for a job's end.
func (f *fixture) ended(t *testing.T, key, id string) (j api.Job) {
	t.Helper()
	until(t, "ended", func() bool {
		f.do(t, "GET", "/api/v1/jobs/"+id, key, nil, &j)
		return j.FinishedAt != nil
	})
	return j
}

// result reads a job's result; lines must count from 1 without a gap.
func (f *fixture) result(t *testing.T, key, id string) (lines []api.JobLine) {
	t.Helper()
	var raw []byte
	if status := f.do(t, "GET", "/api/v1/jobs/"+id+"/result", key, nil, &raw); status != 200 {
		t.Fatalf("%d %s", status, raw)
	}
	for text := range bytes.Lines(raw) {
		var l api.JobLine
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		if lines = append(lines, l); l.Line != int64(len(lines)) {
			t.Fatalf("line %d comes as number %d", l.Line, len(lines))
		}
	}
	return lines
}

// events counts the events of a job's lines.
func (f *fixture) events(t *testing.T, tenant, job string) map[int]int {
	t.Helper()
	known, err := f.keys.Tenant(tenant)
	if err != nil {
		t.Fatal(err)
	}
	items := map[int]int{}
	err = audit.NewFeed(f.pool).Export(ctx, known, func(l audit.Line) error {
		var e api.Event
		if raw, err := json.Marshal(l); err == nil && bytes.Contains(raw, []byte(`"event"`)) {
			var line struct{ Event json.RawMessage }
			if err := errors.Join(json.Unmarshal(raw, &line), json.Unmarshal(line.Event, &e)); err != nil {
				return err
			}
			if e.RequestID == job {
				items[e.Item]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func line(output string) string {
	return fmt.Sprintf(`{"detector":"d","output":%q}`+"\n", output)
}

// Every line has its answer in its place, equal ones from one mapping, each with an event, and an error is an answer too.
func TestJob(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	f.mapper.busy.Store(20)
	var body strings.Builder
	want := map[int64]string{}
	for i := int64(1); i <= 1234; i++ {
		switch {
		case i%100 == 1:
			body.WriteString("no json\n")
		case i%100 == 2:
			body.WriteString(line("refuse"))
		case i == 77:
			body.WriteString(line("panic-canary"))
		case i == 78:
			body.WriteString(`{"detector":"d","output":"x","tenant_id":"b"}` + "\r\n")
		default:
			want[i] = fmt.Sprint("out", i%50)
			body.WriteString(line(want[i]))
		}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, strings.TrimSuffix(body.String(), "\n"))
	z.Close()
	var j api.Job
	if status := f.do(t, "POST", "/api/v1/jobs?source=model", key, &zipped, &j, "Content-Encoding", "gzip"); status != 202 || j.Lines != 1234 {
		t.Fatalf("%d %+v", status, j)
	}
	j = f.ended(t, key, j.ID)
	if j.State != api.JobDone || j.Done != 1234 || j.Failed != int64(1234-len(want)) || j.Rate <= 0 {
		t.Errorf("%+v", j)
	}
	lines := f.result(t, key, j.ID)
	for _, l := range lines {
		if text, ok := want[l.Line]; ok != (l.Mapping != nil) || ok == (l.Error != nil) || ok && (l.Mapping.Notes != text || l.Mapping.Provenance.TenantID != "a") {
			t.Errorf("%+v, want %q", l, text)
		}
	}
	events := f.events(t, "a", j.ID)
	for i := range want {
		if events[int(i-1)] != 1 {
			t.Errorf("line %d has %d events", i, events[int(i-1)])
		}
	}
	if len(lines) != 1234 || len(events) != len(want) {
		t.Errorf("%d lines, %d events", len(lines), len(events))
	}
	if n := f.mapper.asked["out3"]; n != 3 {
		t.Errorf("the same was asked %d times in 3 chunks", n)
	}
	if n := f.mapper.peak.Load(); n > workers*askedAtOnce {
		t.Errorf("%d at once", n)
	}
	if strings.Contains(f.logs.String(), "canary") {
		t.Errorf("content is in the log: %s", f.logs)
	}
}
