package review_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

const bound = 10000 // of each kind of row

func (f *fixture) count(t *testing.T, rows string) (n int) {
	t.Helper()
	err := postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error { return tx.QueryRow(ctx, "SELECT count(*) FROM mapper."+rows).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const manyProposals = `INSERT INTO mapper.proposals (tenant, detector, digest, id, sealed, label, confidence, candidates, model, seen, state)
	SELECT $1, $3, n, $3 || n, 'x', 'PII.Other', 1, '[]', 'm', 1, $3 FROM generate_series(1, $2) n`

// A tenant has so many open proposals; further labels are passed over and counted, and known ones go on.
func TestProposalsBound(t *testing.T) {
	f := newFixture(t)
	f.exec(t, manyProposals, "a", bound-1, "open")
	for range 2 {
		for _, native := range []string{"one", "two"} {
			f.queue.Propose(f.a.Tenant, "mine", answer(native, "PII.Other"), true)
			if err := f.queue.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		f.queue.Propose(f.b.Tenant, "mine", answer("one", "PII.Other"), false)
	}
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if open, other := f.count(t, "proposals WHERE tenant = 'a'"), f.count(t, "proposals WHERE tenant = 'b'"); open != bound || other != 1 {
		t.Errorf("%d and %d", open, other)
	}
	if f.count(t, "proposals WHERE tenant = 'a' AND detector = 'mine' AND seen = 2") != 1 || len(f.events) != 1 {
		t.Error("the one that has a place was not counted", len(f.events))
	}
	if err := testutil.GatherAndCompare(f.metrics, strings.NewReader("# HELP review_passed_over_total Sightings that were not counted because there were too many different labels, in two seconds or that wait for a decision.\n# TYPE review_passed_over_total counter\nreview_passed_over_total 2\n"), "review_passed_over_total"); err != nil {
		t.Error(err)
	}
}

// A tenant has so many overrides; those it has can be changed and removed.
func TestOverridesBound(t *testing.T) {
	f := newFixture(t)
	f.exec(t, manyOverrides, "a", bound-1, false)
	override := func(native string, want api.Code) {
		t.Helper()
		_, err := f.store.Override(ctx, f.a, api.OverrideRequest{Detector: "mine", Native: native, Labels: []string{"PII.Other"}})
		if err == nil && want != "" || err != nil && api.AsError(err).Code != want {
			t.Errorf("%s: %v, want %s", native, err, want)
		}
	}
	override("one", "")
	override("one", "")
	override("two", api.Conflict)
	f.queue.Propose(f.a.Tenant, "mine", answer("three", "PII.Other"), false)
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	ids := []string{f.open(t, f.a, "open")[0].ID}
	if _, err := f.store.Decide(ctx, f.a, api.DecideRequest{IDs: ids, Action: "accept"}); api.AsError(err).Code != api.Conflict || len(f.open(t, f.a, "open")) != 1 {
		t.Errorf("accepted one too many: %v", err)
	}
	if err := f.store.Remove(ctx, f.a, "many-1"); err != nil {
		t.Error(err)
	}
	if _, err := f.store.Decide(ctx, f.a, api.DecideRequest{IDs: ids, Action: "accept"}); err != nil {
		t.Error(err)
	}
	f.exec(t, "UPDATE mapper.overrides SET removed = true WHERE tenant = 'a'")
	override("four", api.Conflict)
}

// What was decided has a bound, the oldest goes first.
func TestDecidedBound(t *testing.T) {
	f := newFixture(t)
	f.exec(t, manyProposals, "a", bound, "rejected")
	f.exec(t, "INSERT INTO mapper.decisions (tenant, key, action, id, detector, labels) SELECT 'a', 'k', 'reject', n, 'd', '{}' FROM generate_series(1, $1) n", bound)
	f.queue.Propose(f.a.Tenant, "mine", answer("x", "PII.Other"), false)
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.Decide(ctx, f.a, api.DecideRequest{IDs: []string{f.open(t, f.a, "open")[0].ID}, Action: "reject"}); err != nil {
		t.Fatal(err)
	}
	if f.count(t, "proposals") != bound || f.count(t, "proposals WHERE detector = 'mine'") != 1 || f.count(t, "proposals WHERE digest = '1'") != 0 {
		t.Error(f.count(t, "proposals"))
	}
	if f.count(t, "decisions") != bound || f.count(t, "decisions WHERE detector = 'mine'") != 1 || f.count(t, "decisions WHERE id = '1'") != 0 {
		t.Error(f.count(t, "decisions"))
	}
}

// What nobody has seen for long is forgotten, and what was removed; the latest change of a tenant stays.
func TestTidy(t *testing.T) {
	f := newFixture(t)
	f.exec(t, manyProposals, "a", 3, "open")
	f.exec(t, "UPDATE mapper.proposals SET last_at = now() - interval '91 days' WHERE digest < '3'")
	f.exec(t, manyOverrides, "a", 3, true)
	f.exec(t, manyOverrides, "b", 2, false)
	f.exec(t, "UPDATE mapper.overrides SET changed_at = now() - interval '25 hours' - digest::int * interval '1 minute' WHERE digest < '3' OR tenant = 'a'")
	if err := f.queue.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, "proposals"); n != 1 {
		t.Errorf("%d proposals", n)
	}
	if f.count(t, "overrides WHERE tenant = 'b'") != 2 || f.count(t, "overrides WHERE tenant = 'a'") != 1 || f.count(t, "overrides WHERE tenant = 'a' AND digest = '1'") != 1 {
		t.Error(f.count(t, "overrides"))
	}
}
