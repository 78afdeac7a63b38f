package audit_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Another service's events of the same tenant are in a chain of their own, of their own kind, with the same
// guarantees.
func TestTwoServices(t *testing.T) {
	p := newPlatform(t, "a")
	other := *p
	other.service = "orchestration"
	other.pool = other.open(t, other.service)
	record(t, p.replica(t), p.tenant(t, "a"), "map")
	log, tenant := other.replica(t), p.tenant(t, "a")
	at := time.Now()
	entry := func(name string, at time.Time) audit.Entry {
		return audit.Entry{At: at, JSON: []byte(fmt.Sprintf(`{"kind":"decision","request_id":%q}`, name))}
	}
	if err := log.Keep(ctx, tenant, []audit.Entry{entry("old", at.AddDate(0, 0, -10)), entry("one", at)}); err != nil {
		t.Fatal(err)
	}
	read(t, &other, "a", 2)
	jobs, err := postgres.Open(p.of(other.service), other.service+" jobs", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	err = postgres.InTenant(ctx, jobs, "a", func(tx pgx.Tx) error { // as a job does
		return audit.Append(ctx, tx, tenant, []audit.Entry{entry("two", at)})
	})
	if err != nil {
		t.Fatal(err)
	}
	if ids := fmt.Sprint(read(t, p, "a", 1), read(t, &other, "a", 3)); ids != "[map] [old one two]" {
		t.Fatal(ids)
	}
	days := 9
	if err := p.store.Set(ctx, "a", access.Settings{RetentionDays: &days}); err != nil {
		t.Fatal(err)
	}
	p.keys.Follow(ctx)
	if err := other.keeper().Once(ctx, at); err != nil {
		t.Fatal(err)
	}
	var mappings, decisions bytes.Buffer
	if ids := fmt.Sprint(exported(t, p, "a", &mappings), exported(t, &other, "a", &decisions)); ids != "[map] [one two]" {
		t.Error(ids)
	}
	if r, err := audit.Verify(&mappings, p.public()); err != nil || r.Events != 1 || r.Signed != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := audit.Verify(&decisions, p.public()); err != nil || r.First != 2 || r.Opened != 2 || r.Signed != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

// What waits for Postgres in another service's journal is there exactly once after a start in the middle.
func TestOtherServiceStartsAgain(t *testing.T) {
	p := newPlatform(t, "a")
	p.service, p.pool = "orchestration", p.open(t, "orchestration")
	const n = 200
	log, tenant := p.replica(t), p.tenant(t, "a")
	for i := range n {
		if err := log.Keep(ctx, tenant, []audit.Entry{{At: time.Now(), JSON: []byte(fmt.Sprintf(`{"request_id":"%d"}`, i))}}); err != nil {
			t.Fatal(err)
		}
		if i%50 == 25 {
			if _, err := p.pool.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orchestration' AND datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	var ids []string
	for deadline := time.Now().Add(time.Minute); len(ids) < n && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ids = exported(t, p, "a", nil)
	}
	if strings.Join(ids, " ") != strings.Join(want, " ") {
		t.Errorf("%d of %d events: %v", len(ids), n, ids)
	}
}

// At finds the events of a moment.
func TestAt(t *testing.T) {
	p := newPlatform(t, "a", "b")
	at := time.Now()
	for i, tenant := range []string{"a", "a", "a", "b"} {
		err := postgres.InTenant(ctx, p.pool, tenant, func(tx pgx.Tx) error {
			e := audit.Entry{At: at.Add(time.Duration(i/2) * time.Microsecond), JSON: []byte(fmt.Sprintf(`{"n":%d}`, i))}
			return audit.Append(ctx, tx, p.tenant(t, tenant), []audit.Entry{e})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{`[{"n":0} {"n":1}]`, `[{"n":2}]`, `[]`} {
		got, err := audit.NewFeed(p.pool).At(ctx, p.tenant(t, "a"), at.Add(time.Duration(i)*time.Microsecond))
		if err != nil || fmt.Sprintf("%s", got) != want {
			t.Errorf("%d: %s %v", i, got, err)
		}
	}
}
