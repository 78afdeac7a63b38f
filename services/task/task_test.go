package task

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/web"
)

var ctx = context.Background()

// scripted is a Runner: a request says what is to become of it.
type scripted struct {
	mu    sync.Mutex // guards asked
	asked map[string]int
	hold  chan struct{} // requests that begin with hold wait for its end
	name  string        // in the answers
}

func (r *scripted) Run(ctx context.Context, c access.Caller, request []byte, progress func(float64)) (Answer, error) {
	text := string(request)
	r.mu.Lock()
	r.asked[text]++
	n := r.asked[text]
	r.mu.Unlock()
	kind, _, _ := strings.Cut(text, " ")
	switch kind {
	case "hold":
		progress(0.25)
		progress(0.5)
		select {
		case <-r.hold:
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	case "deaf":
		<-r.hold
	case "flaky":
		if n < attempts {
			return Answer{}, api.Errorf(api.Unavailable, "not yet")
		}
	case "down":
		return Answer{}, api.Errorf(api.UpstreamFailed, "nobody answers")
	case "wrong":
		return Answer{}, api.Errorf(api.InvalidRequest, "this cannot be")
	case "unstorable":
		return Answer{Result: []byte("{}"), ReceiptID: "\x00"}, nil
	case "panic":
		panic(text)
	}
	return r.answer(c, text), nil
}

func (r *scripted) answer(c access.Caller, text string) Answer {
	return Answer{
		Result: fmt.Appendf(nil, `{"by":%q,"key":%q}`, r.name, c.Key.ID), ReceiptID: "receipt-1",
		Events: []audit.Entry{{At: time.Now(), JSON: fmt.Appendf(nil, `{"of":%q}`, text)}},
	}
}

// tenants are all there are.
type tenants map[string]*access.Tenant

func (ts tenants) Tenant(id string) (*access.Tenant, error) {
	if t := ts[id]; t != nil {
		return t, nil
	}
	return nil, api.Errorf(api.NotFound, "there is no such tenant")
}

func (ts tenants) Tenants() (all []*access.Tenant) {
	for _, t := range ts {
		all = append(all, t)
	}
	return all
}

// fixture is a replica, on a database that others may share.
type fixture struct {
	*Service
	db      config.Database
	callers map[string]access.Caller
	runner  *scripted
	router  *web.Router
	stop    func()
	logs    *locked
}

// locked is a log that several write to.
type locked struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newFixture makes a replica that does not run yet.
func newFixture(t *testing.T, db config.Database, callers map[string]access.Caller) *fixture {
	t.Helper()
	if callers == nil {
		callers = map[string]access.Caller{"a": accesstest.Caller(t, "a"), "b": accesstest.Caller(t, "b")}
	}
	known := tenants{}
	for id, c := range callers {
		known[id] = c.Tenant
	}
	f := &fixture{db: db, callers: callers, runner: &scripted{asked: map[string]int{}, hold: make(chan struct{}), name: "one"}, logs: &locked{}}
	reg := prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(f.logs, nil))
	guard := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	var err error
	if f.Service, err = New(opened(t, db), f.runner, known, guard, log, reg); err != nil {
		t.Fatal(err)
	}
	f.river.Patience = 100 * time.Millisecond
	f.router = web.New("test", log, reg, func(rc *fasthttp.RequestCtx, scope string) error {
		c := callers[string(rc.Request.Header.Peek("X-Tenant-ID"))]
		if scope == access.Admin && c.Key.Role != "admin" || !slices.Contains(c.Key.Scopes, scope) {
			return api.Errorf(api.Forbidden, "no")
		}
		c.Enter(rc)
		return nil
	})
	f.Register(f.router)
	return f
}

func opened(t *testing.T, db config.Database) *pgxpool.Pool {
	t.Helper()
	db.Connections = Connections
	return postgrestest.Pool(t, db, "orchestration")
}

// run starts a replica; it ends with the test.
func (f *fixture) run(t *testing.T) *fixture {
	t.Helper()
	beside, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f.Run(beside) })
	f.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(f.stop)
	return f
}

func started(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, postgrestest.Migrated(t)("orchestration"), nil).run(t)
}

func (f *fixture) do(t *testing.T, method, path, tenant string, out any) int {
	t.Helper()
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI("http://test/api/v1/orchestrate/" + path)
	req.Header.Set("X-Tenant-ID", tenant)
	rc := &fasthttp.RequestCtx{}
	rc.Init(&req, nil, nil)
	f.router.ServeHTTP(rc)
	if out != nil {
		if err := json.Unmarshal(rc.Response.Body(), out); err != nil {
			t.Fatalf("%s %s: %s, %v", method, path, rc.Response.Body(), err)
		}
	}
	return rc.Response.StatusCode()
}

func (f *fixture) submit(t *testing.T, tenant, request, webhook string) api.Task {
	t.Helper()
	task, err := f.Submit(ctx, f.callers[tenant], []byte(request), webhook)
	if err != nil || task.State != api.TaskPending || task.Progress != 0 {
		t.Fatalf("%+v %v", task, err)
	}
	return task
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in a minute", what)
		}
	}
}

// when waits until a task of a is as it should be.
func (f *fixture) when(t *testing.T, id string, is func(api.Task) bool) (task api.Task) {
	t.Helper()
	until(t, "as it should be", func() bool {
		f.do(t, "GET", "status/"+id, "a", &task)
		return is(task)
	})
	return task
}

func ended(t api.Task) bool { return t.FinishedAt != nil }

func (f *fixture) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := postgres.InTenant(ctx, f.pool, postgres.Everyone, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query, args...).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *fixture) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if err := postgres.InTenant(ctx, f.pool, postgres.Everyone, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, statement, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

// events counts the events of a by what they are of.
func (f *fixture) events(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	err := audit.NewFeed(f.pool).Export(ctx, f.callers["a"].Tenant, func(l audit.Line) error {
		raw, err := json.Marshal(l)
		if err != nil {
			return err
		}
		var line struct{ Event struct{ Of string } }
		if err := json.Unmarshal(raw, &line); err == nil && line.Event.Of != "" {
			all[line.Event.Of]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// clear looks for canaries in all tables, and in the log.
func (f *fixture) clear(t *testing.T) {
	t.Helper()
	if strings.Contains(f.logs.String(), "canary") {
		t.Error("content is in the log")
	}
	if err := postgres.InTenant(ctx, f.pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT tablename FROM pg_tables WHERE schemaname = 'orchestration'")
		if err != nil {
			return err
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(tables) < 8 {
			t.Errorf("%d tables, %v", len(tables), err)
		}
		for _, table := range tables {
			n := 0
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM orchestration."+table+" r WHERE r::text LIKE '%canary%' OR r::text LIKE '%' || encode('canary', 'hex') || '%'").Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("content is in %s", table)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// The life of a job: it waits, runs, says how far it is and ends; what was asked is never in clear, and then gone.
func TestLife(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	j := f.submit(t, "a", "hold canary", "https://canary.example/hook")
	if got := f.when(t, j.ID, func(api.Task) bool { return true }); got.State != api.TaskPending || got.StartedAt != nil || got.ExpiresAt != nil {
		t.Errorf("%+v", got)
	}
	f.run(t)
	got := f.when(t, j.ID, func(j api.Task) bool { return j.Progress == 0.5 })
	if got.State != api.TaskRunning || got.StartedAt == nil || ended(got) || got.Result != nil {
		t.Errorf("%+v", got)
	}
	if n := f.count(t, "SELECT octet_length(key) FROM orchestration.jobs"); n < 32 {
		t.Errorf("a key of %d bytes", n)
	}
	f.clear(t)
	close(f.runner.hold)
	got = f.when(t, j.ID, ended)
	if got.State != api.TaskCompleted || got.Progress != 1 || string(got.Result) != `{"by":"one","key":"key-of-a"}` || got.ReceiptID != "receipt-1" || got.Error != nil {
		t.Errorf("%+v %s", got, got.Result)
	}
	if got.ExpiresAt == nil || got.ExpiresAt.Sub(*got.FinishedAt) != retention {
		t.Errorf("expires at %v", got.ExpiresAt)
	}
	if n := f.count(t, "SELECT count(*) FROM orchestration.jobs WHERE request IS NULL AND key IS NULL"); n != 1 {
		t.Error("what was asked is still there")
	}
	f.clear(t)
	if events := f.events(t); events["hold canary"] != 1 || len(events) != 1 {
		t.Errorf("%v", events)
	}
	next := f.submit(t, "a", "again", "")
	f.when(t, next.ID, ended)
	var page api.TasksResponse
	if status := f.do(t, "GET", "status", "a", &page); status != 200 || len(page.Jobs) != 2 || page.Jobs[0].ID != next.ID || page.Jobs[0].Result != nil {
		t.Errorf("%d %+v", status, page)
	}
	if status := f.do(t, "GET", "status/"+j.ID, "b", nil); status != 404 {
		t.Errorf("another tenant's job: %d", status)
	}
	if n := testutil.ToFloat64(f.ended.WithLabelValues("completed")); n != 2 {
		t.Errorf("%v tasks are counted", n)
	}
}

// A job is cancelled while it waits and while it runs; then it is too late, and what the worker found is not kept.
func TestCancel(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	cancel := func(tenant, id string, want int) {
		t.Helper()
		var got api.Task
		if status := f.do(t, "DELETE", "status/"+id, tenant, &got); status != want || status == 200 && (got.State != api.TaskCancelled || !ended(got)) {
			t.Errorf("%d %+v", status, got)
		}
	}
	waiting := f.submit(t, "a", "done waiting", "")
	cancel("b", waiting.ID, 404)
	cancel("a", "unknown", 404)
	cancel("a", waiting.ID, 200)
	cancel("a", waiting.ID, 409)
	f.run(t)
	running, deaf, done := f.submit(t, "a", "hold", ""), f.submit(t, "a", "deaf", ""), f.submit(t, "a", "done", "")
	for _, j := range []api.Task{running, deaf} {
		f.when(t, j.ID, func(j api.Task) bool { return j.State == api.TaskRunning })
		cancel("a", j.ID, 200)
	}
	until(t, "given up", func() bool {
		return f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE args->>'job' = $1 AND state = 'cancelled'", running.ID) == 1
	})
	close(f.runner.hold)
	f.when(t, done.ID, ended)
	until(t, "at rest", func() bool {
		return f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE state NOT IN ('cancelled', 'completed')") == 0
	})
	cancel("a", done.ID, 409)
	for _, j := range []api.Task{waiting, running, deaf} {
		if got := f.when(t, j.ID, ended); got.State != api.TaskCancelled || got.Result != nil {
			t.Errorf("%+v", got)
		}
	}
	if n := f.count(t, "SELECT count(*) FROM orchestration.jobs WHERE request IS NOT NULL OR key IS NOT NULL"); n != 0 {
		t.Errorf("%d jobs keep what was asked", n)
	}
	if events := f.events(t); events["done"] != 1 || len(events) != 1 || f.runner.asked["done waiting"] != 0 {
		t.Errorf("%v", events)
	}
}

// What may be tried again is, three times; what may not is not; no error has content.
func TestRetry(t *testing.T) {
	f := started(t)
	for _, c := range []struct {
		request, message string
		state            api.TaskState
		code             api.Code
		asked            int
	}{
		{"flaky", "", api.TaskCompleted, "", 3},
		{"down", "nobody answers", api.TaskFailed, api.UpstreamFailed, 3},
		{"wrong", "this cannot be", api.TaskFailed, api.InvalidRequest, 1},
		{"unstorable canary", "something failed on our side; the log has it under this job_id", api.TaskFailed, api.Internal, 1},
		{"panic canary", "something failed on our side; the log has it under this job_id", api.TaskFailed, api.Internal, 1},
	} {
		t.Run(c.request, func(t *testing.T) {
			t.Parallel()
			j := f.submit(t, "a", c.request, "")
			got := f.when(t, j.ID, ended)
			f.runner.mu.Lock()
			n := f.runner.asked[c.request]
			f.runner.mu.Unlock()
			if got.State != c.state || n != c.asked || (got.Error != nil) != (c.code != "") || got.Error != nil && (got.Error.Code != c.code || got.Error.Message != c.message) {
				t.Errorf("%+v %+v after %d", got, got.Error, n)
			}
		})
	}
	t.Cleanup(func() { f.clear(t) })
}
