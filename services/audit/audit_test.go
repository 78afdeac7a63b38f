package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// platform is a database with tenants, and a service that keeps events in it.
type platform struct {
	service string
	of      func(string) config.Database
	pool    *pgxpool.Pool
	store   *access.Store
	keys    *access.Directory
	secrets *access.Secrets
}

func newPlatform(t testing.TB, tenants ...string) *platform {
	t.Helper()
	p := &platform{service: "mapper", of: postgrestest.Migrated(t)}
	p.pool = p.open(t, p.service)
	p.secrets = accesstest.Secrets(t)
	p.keys, p.store = accesstest.Known(t, p.open(t, "access"), tenants...)
	return p
}

func (p *platform) open(t testing.TB, service string) *pgxpool.Pool {
	t.Helper()
	return postgrestest.Pool(t, p.of(service), service)
}

func (p *platform) tenant(t testing.TB, id string) *access.Tenant {
	t.Helper()
	tenant, err := p.keys.Tenant(id)
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

// replica is a log and its writer, which runs until the test ends.
func (p *platform) replica(t testing.TB) *audit.Log {
	t.Helper()
	j, err := journal.Open(t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	log := audit.NewLog(j)
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { audit.NewWriter(log, p.open(t, p.service), quiet, prometheus.NewRegistry()).Run(run) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func event(request string) api.Event {
	return api.Event{Time: time.Now(), RequestID: request, Detector: "azure", Taxonomy: []string{"OTHER.Safe"}, Findings: []api.EventFinding{{Native: "<none>"}}}
}

func record(t testing.TB, log *audit.Log, tenant *access.Tenant, requests ...string) {
	t.Helper()
	events := make([]api.Event, len(requests))
	for i, r := range requests {
		events[i] = event(r)
	}
	if err := log.Record(ctx, tenant, events); err != nil {
		t.Error(err)
	}
}

// read follows the feed of a tenant until it has n events, and returns their request ids in order.
func read(t testing.TB, p *platform, tenant string, n int) []string {
	t.Helper()
	feed, owner := audit.NewFeed(p.pool), p.tenant(t, tenant)
	var ids []string
	after := int64(0)
	for deadline := time.Now().Add(5 * time.Minute); len(ids) < n; {
		page, err := feed.Events(ctx, owner, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Events {
			var e struct {
				Seq int64
				api.Event
			}
			if err := json.Unmarshal(raw, &e); err != nil || e.Seq != after+1 {
				t.Fatalf("event %d after %d: %v", e.Seq, after, err)
			}
			after = e.Seq
			ids = append(ids, e.RequestID)
		}
		if page.Next != api.Cursor(after) {
			t.Fatalf("next is %s after event %d", page.Next, after)
		}
		if len(page.Events) == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d events came", len(ids), n)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return ids
}

// Four replicas write 200,000 events of two tenants while the feeds are read: each comes once, in one order.
func TestFeedUnderWriters(t *testing.T) {
	const replicas, writers = 4, 8
	each := 25_000
	if testing.Short() {
		each = 1_000
	}
	p := newPlatform(t, "a", "b")
	var writing sync.WaitGroup
	for r := range replicas {
		log := p.replica(t)
		for w := range writers {
			tenant := p.tenant(t, []string{"a", "b"}[w%2])
			writing.Go(func() {
				for i := 0; i < each*2/writers; i += 5 {
					ids := make([]string, 5)
					for k := range ids {
						ids[k] = fmt.Sprint(r, ".", w, ".", i+k)
					}
					record(t, log, tenant, ids...)
				}
			})
		}
	}
	for _, tenant := range []string{"a", "b"} {
		writing.Go(func() {
			seen := map[string]bool{}
			for _, id := range read(t, p, tenant, replicas*each) {
				seen[id] = true
			}
			if len(seen) != replicas*each {
				t.Errorf("%s: %d distinct of %d", tenant, len(seen), replicas*each)
			}
		})
	}
	writing.Wait()
}

// Connections that die in the middle of transactions neither lose nor double an event.
func TestConnectionsDie(t *testing.T) {
	p := newPlatform(t, "a")
	log, tenant := p.replica(t), p.tenant(t, "a")
	admin, err := pgx.Connect(ctx, postgrestest.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	const n = 3000
	for i := range n {
		record(t, log, tenant, fmt.Sprint(i))
		if i%100 == 50 {
			if _, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = 'mapper'", p.of("mapper").Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	var ids []string
	for deadline := time.Now().Add(time.Minute); len(ids) < n && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ids = exported(t, p, "a", nil)
	}
	for i, id := range ids {
		if id != fmt.Sprint(i) {
			t.Fatalf("event %d is of request %s", i, id)
		}
	}
	if len(ids) != n {
		t.Errorf("%d events", len(ids))
	}
}

// exported exports a tenant's chain into w and returns its request ids.
func exported(t testing.TB, p *platform, tenant string, w io.Writer) (ids []string) {
	t.Helper()
	err := audit.NewFeed(p.pool).Export(ctx, p.tenant(t, tenant), func(l audit.Line) error {
		if l.Event != nil {
			var e api.Event
			if err := json.Unmarshal(l.Event, &e); err != nil {
				return err
			}
			ids = append(ids, e.RequestID)
		}
		if w != nil {
			return json.NewEncoder(w).Encode(l)
		}
		return nil
	})
	if err != nil && !strings.Contains(err.Error(), "terminating connection") {
		t.Fatal(err)
	}
	return ids
}

func (p *platform) keeper() *audit.Keeper {
	return &audit.Keeper{Pool: p.pool, Tenants: p.keys.Tenants, Key: p.secrets.Signing, Every: time.Hour, Log: quiet}
}

func (p *platform) public() ed25519.PublicKey { return p.secrets.Signing.Public().(ed25519.PublicKey) }

// An export verifies, and any change of it does not.
func TestVerify(t *testing.T) {
	p := newPlatform(t, "a", "b")
	log := p.replica(t)
	record(t, log, p.tenant(t, "a"), "1", "2", "3")
	record(t, log, p.tenant(t, "b"), "x")
	read(t, p, "a", 3)
	now := time.Now()
	for range 2 { // the second time there is nothing to sign
		if err := p.keeper().Once(ctx, now); err != nil {
			t.Fatal(err)
		}
	}
	record(t, log, p.tenant(t, "a"), "4")
	read(t, p, "a", 4)
	var file bytes.Buffer
	exported(t, p, "a", &file)
	r, err := audit.Verify(bytes.NewReader(file.Bytes()), p.public())
	if err != nil || r.Events != 4 || r.Opened != 4 || r.Signed != 1 || r.Unsigned != 1 {
		t.Fatalf("%+v %v\n%s", r, err, file.String())
	}
	lines := strings.Split(strings.TrimSpace(file.String()), "\n") // start, 1, 2, 3, head, 4
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(bytes.NewReader(file.Bytes()), other); err == nil {
		t.Error("it verifies with another key")
	}
	for name, change := range map[string]func([]string) []string{
		"an event changed":     func(l []string) []string { l[2] = strings.Replace(l[2], "OTHER.Safe", "OTHER.Spam", 1); return l },
		"a number changed":     func(l []string) []string { l[2] = strings.Replace(l[2], `"seq":2`, `"seq":3`, 1); return l },
		"a time changed":       func(l []string) []string { l[2] = strings.Replace(l[2], `"at":"20`, `"at":"19`, 1); return l },
		"an event left out":    func(l []string) []string { return append(l[:2], l[3:]...) },
		"two events exchanged": func(l []string) []string { l[1], l[2] = l[2], l[1]; return l },
		"an event doubled":     func(l []string) []string { return append(l[:2], append([]string{l[1]}, l[2:]...)...) },
		"the start left out":   func(l []string) []string { return l[1:] },
		"another tenant":       func(l []string) []string { return append(l, strings.Replace(l[1], `"tenant":"a"`, `"tenant":"b"`, 1)) },
		"another chain":        func(l []string) []string { l[0] = strings.Replace(l[0], `"tenant":"a"`, `"tenant":"b"`, 1); return l },
		"the head elsewhere":   func(l []string) []string { return append(l[:3], l[4], l[3]) },
		"no export":            func([]string) []string { return []string{"{}"} },
		"nothing":              func([]string) []string { return nil },
		"text":                 func(l []string) []string { return append(l, "text") },
	} {
		changed := strings.Join(change(append([]string{}, lines...)), "\n")
		if _, err := audit.Verify(strings.NewReader(changed), p.public()); err == nil {
			t.Errorf("%s: it verifies", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// Retention removes the oldest events, of a tenant's own time, and what is left verifies; a deleted tenant's events
// cannot be read, and its chain verifies too.
func TestRetentionAndDeletion(t *testing.T) {
	p := newPlatform(t, "a", "b")
	log := p.replica(t)
	for _, tenant := range []string{"a", "b"} {
		old := []api.Event{event("1"), event("2"), event("3")}
		for i := range old {
			old[i].Time = time.Now().AddDate(0, 0, i-10)
		}
		if err := log.Record(ctx, p.tenant(t, tenant), old); err != nil {
			t.Fatal(err)
		}
		record(t, log, p.tenant(t, tenant), "4")
		read(t, p, tenant, 4)
	}
	days := 9
	if err := p.store.Set(ctx, "a", access.Settings{RetentionDays: &days}); err != nil {
		t.Fatal(err)
	}
	p.keys.Follow(ctx)
	for range 2 {
		if err := p.keeper().Once(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var kept bytes.Buffer
	if a, b := exported(t, p, "a", &kept), exported(t, p, "b", nil); fmt.Sprint(a, b) != "[3 4] [1 2 3 4]" {
		t.Errorf("kept %v %v", a, b)
	}
	if r, err := audit.Verify(&kept, p.public()); err != nil || r.First != 3 || r.Last != 4 || r.Signed != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if err := p.store.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	p.keys.Follow(ctx)
	var gone bytes.Buffer
	if ids := exported(t, p, "b", &gone); len(ids) != 0 {
		t.Errorf("read %v", ids)
	}
	if r, err := audit.Verify(&gone, p.public()); err != nil || r.Events != 4 || r.Opened != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if err := log.Record(ctx, p.tenant(t, "b"), []api.Event{event("5")}); !errors.Is(err, access.ErrShredded) {
		t.Errorf("an event of a deleted tenant: %v", err)
	}
	if _, err := audit.NewFeed(p.pool).Events(ctx, p.tenant(t, "b"), 0, 10); !errors.Is(err, access.ErrShredded) {
		t.Errorf("the feed of a deleted tenant: %v", err)
	}
}

// The code of today works on the schema before, in the time of a switch from one version to the next, and again
// after a step back.
func TestPreviousSchema(t *testing.T) {
	p := newPlatform(t, "a")
	m, err := postgres.NewMigrator(p.of("mapper"), "mapper")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // the test is over
	log, n := p.replica(t), 0
	check := func() {
		t.Helper()
		n++
		record(t, log, p.tenant(t, "a"), fmt.Sprint(n))
		read(t, p, "a", n)
		k := p.keeper()
		k.Retention = 30
		if err := k.Once(ctx, time.Now()); err != nil {
			t.Error(err)
		}
		if got := len(exported(t, p, "a", nil)); got != n {
			t.Errorf("exported %d of %d", got, n)
		}
	}
	check()
	if err := m.Down(ctx); err != nil {
		t.Fatal(err)
	}
	check()
	if _, err := m.Up(ctx); err != nil {
		t.Fatal(err)
	}
	check()
}

// Without Postgres events wait; when it is there they come. A full journal refuses.
func TestWaits(t *testing.T) {
	p := newPlatform(t, "a")
	dir := t.TempDir()
	j, err := journal.Open(dir, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	log, tenant, n := audit.NewLog(j), p.tenant(t, "a"), 0
	for ; n < 100; n++ {
		if err = log.Record(ctx, tenant, []api.Event{event(fmt.Sprint(n))}); err != nil {
			break
		}
	}
	if e := api.AsError(err); e.Code != api.Unavailable || !e.Retryable || e.RetryAfter == 0 || n < 3 {
		t.Fatalf("after %d: %v", n, err)
	}
	reg := prometheus.NewRegistry()
	w := audit.NewWriter(log, p.pool, quiet, reg)
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { w.Run(run) })
	read(t, p, "a", n)
	for err != nil { // the journal is trimmed a moment later
		err = log.Record(ctx, tenant, []api.Event{event("again")})
	}
	read(t, p, "a", n+1)
	record(t, log, tenant, "last")
	stop() // what is there is moved first
	running.Wait()
	read(t, p, "a", n+2)
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if err := log.Record(ctx, tenant, []api.Event{event("late")}); api.AsError(err).Code != api.Unavailable {
		t.Errorf("closed: %v", err)
	}
}

// While Postgres has never answered, the lag grows all the same.
func TestLag(t *testing.T) {
	p := newPlatform(t, "a")
	j, err := journal.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	log := audit.NewLog(j)
	old := event("1")
	old.Time = time.Now().Add(-time.Hour)
	if err := log.Record(ctx, p.tenant(t, "a"), []api.Event{old}); err != nil {
		t.Fatal(err)
	}
	gone, err := postgres.Open(config.Database{Host: "127.0.0.1", Port: 1, Name: "x", User: "x", TLS: "disable", Connections: 1}, "mapper", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	reg := prometheus.NewRegistry()
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { audit.NewWriter(log, gone, quiet, reg).Run(run) })
	lag := 0.0
	for deadline := time.Now().Add(time.Minute); lag < 3600 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "audit_journal_lag_seconds" {
				lag = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
	}
	stop()
	running.Wait()
	if lag < 3600 {
		t.Errorf("the lag is %v", lag)
	}
}

// Nothing of an event is in the journal or in Postgres in clear.
func TestSealed(t *testing.T) {
	p := newPlatform(t, "a")
	log := p.replica(t)
	const canary = "canary-5417"
	record(t, log, p.tenant(t, "a"), canary)
	read(t, p, "a", 1)
	var text string
	err := postgres.InTenant(ctx, p.pool, "*", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT string_agg(encode(sealed || leaf, 'escape') || e::text, '') FROM mapper.events e").Scan(&text)
	})
	if err != nil || text == "" || strings.Contains(text, canary) {
		t.Errorf("%q %v", text, err)
	}
}
