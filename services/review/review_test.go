package review_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/review"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.DiscardHandler)
)

// events keeps what is recorded.
type events []api.Event

func (e *events) Record(_ context.Context, _ *access.Tenant, events []api.Event) error {
	*e = append(*e, events...)
	return nil
}

type fixture struct {
	pool      *pgxpool.Pool
	keys      *access.Directory
	tenants   *access.Store
	store     *review.Store
	overrides *review.Overrides
	queue     *review.Queue
	events    events
	metrics   *prometheus.Registry
	a, b      access.Caller
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	of := postgrestest.Migrated(t)
	f := &fixture{pool: postgrestest.Pool(t, of("mapper"), "mapper"), metrics: prometheus.NewRegistry()}
	f.keys, f.tenants = accesstest.Known(t, postgrestest.Pool(t, of("access"), "access"), "a", "b")
	f.a, f.b = accesstest.CallerOf(t, f.keys, "a"), accesstest.CallerOf(t, f.keys, "b")
	f.store = review.NewStore(f.pool, func(label string) bool { return strings.HasPrefix(label, "PII.") }, strings.ToLower)
	f.overrides = review.NewOverrides(f.pool, quiet)
	f.queue = review.NewQueue(f.pool, &f.events, f.keys, quiet, f.metrics)
	return f
}

func answer(native, label string) api.Finding {
	return api.Finding{Native: native, Labels: []string{label}, Source: api.SourceModel, Confidence: 0.75, Model: "m@1", Candidates: []api.Candidate{{Label: label, Confidence: 0.75}}}
}

func (f *fixture) open(t *testing.T, c access.Caller, state string) []api.Proposal {
	t.Helper()
	page, err := f.store.Proposals(ctx, c.Tenant, state, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return page.Proposals
}

// From the model's answers over decisions to overrides, and back.
func TestReview(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.queue.Propose(f.a.Tenant, "presidio", answer("CUSTOMER_NO", "PII.Identifier.Other"), true)
		f.queue.Propose(f.a.Tenant, "mine", answer("Shoe Size", "PII.Other"), false)
	}
	f.queue.Propose(f.b.Tenant, "mine", answer("other", "PII.Other"), false)
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	f.queue.Propose(f.a.Tenant, "presidio", answer("customer_no", "PII.Identifier.Other"), true) // the same in another case
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	open := f.open(t, f.a, "open")
	seen, ids := map[string]int64{}, map[string]string{}
	for _, p := range open {
		seen[p.Detector+" "+p.Label], ids[p.Detector] = p.Seen, p.ID
	}
	if len(open) != 2 || seen["presidio PII.Identifier.Other"] != 4 || seen["mine PII.Other"] != 3 || len(f.open(t, f.b, "open")) != 1 {
		t.Fatalf("%+v", open)
	}
	if n := testutil.ToFloat64(drift(t, f.metrics)); n != 1 || len(f.events) != 1 || f.events[0].Kind != api.EventDrift || strings.Contains(fmt.Sprint(f.events), "CUSTOMER") {
		t.Errorf("drift %v, %+v", n, f.events)
	}
	if n, err := f.store.Decide(ctx, f.a, api.DecideRequest{IDs: []string{ids["presidio"], "none"}, Action: "accept"}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := f.store.Decide(ctx, f.a, api.DecideRequest{IDs: []string{ids["mine"]}, Action: "reject"}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	lookup := func(c access.Caller, detector, native string) string {
		return fmt.Sprint(f.overrides.Lookup(c.Tenant, detector, native))
	}
	if err := f.overrides.Follow(ctx); err != nil {
		t.Fatal(err)
	}
	if got := lookup(f.a, "presidio", "Customer_No") + lookup(f.b, "presidio", "CUSTOMER_NO") + lookup(f.a, "mine", "Shoe Size"); got != "[PII.Identifier.Other][][]" {
		t.Error(got)
	}
	if f.overrides.Version(f.a.Tenant) == "" || f.overrides.Version(f.b.Tenant) != "" {
		t.Error("versions")
	}
	if len(f.open(t, f.a, "open")) != 0 || len(f.open(t, f.a, "accepted")) != 1 || len(f.open(t, f.a, "rejected")) != 1 {
		t.Error("states")
	}
	history, err := f.store.Decisions(ctx, f.a.Tenant, 10)
	if err != nil || len(history) != 2 || history[0].Action != "reject" || history[1].KeyID != "key-a" {
		t.Errorf("%+v %v", history, err)
	}
	if patch, err := f.store.Export(ctx, f.a.Tenant, "Presidio"); err != nil || string(patch) != "detector: presidio\nmaps:\n    CUSTOMER_NO:\n        - PII.Identifier.Other\n" {
		t.Errorf("%s %v", patch, err)
	}
	if err := f.store.Remove(ctx, f.a, ids["presidio"]); err != nil {
		t.Fatal(err)
	}
	if err := f.overrides.Follow(ctx); err != nil || lookup(f.a, "presidio", "CUSTOMER_NO") != "[]" {
		t.Error("the override was not removed", err)
	}
}

func drift(t *testing.T, reg *prometheus.Registry) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sum"})
	for _, f := range families {
		if f.GetName() == "vocabulary_drift_total" {
			for _, m := range f.GetMetric() {
				n.Add(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// Overrides without a proposal, what is refused, and that tenants do not reach each other's.
func TestOverrides(t *testing.T) {
	f := newFixture(t)
	id, err := f.store.Override(ctx, f.a, api.OverrideRequest{Detector: "Mine", Native: "x", Labels: []string{"PII.Other"}})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.store.Override(ctx, f.a, api.OverrideRequest{Detector: "mine", Native: "X", Labels: []string{"PII.Person.Name"}}); err != nil || again != id {
		t.Errorf("%s and again %s, %v", id, again, err)
	}
	if err := f.overrides.Follow(ctx); err != nil || fmt.Sprint(f.overrides.Lookup(f.a.Tenant, "mine", "x")) != "[PII.Person.Name]" {
		t.Error("the override was not replaced", err)
	}
	refused := func(err error, want api.Code) {
		t.Helper()
		if api.AsError(err).Code != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused(f.store.Remove(ctx, f.b, id), api.NotFound)
	_, err = f.store.Override(ctx, f.a, api.OverrideRequest{Detector: "mine", Native: "x", Labels: []string{"NO.Label"}})
	refused(err, api.InvalidRequest)
	_, err = f.store.Decide(ctx, f.a, api.DecideRequest{IDs: []string{id}, Action: "accept"})
	refused(err, api.NotFound)
	_, err = f.store.Proposals(ctx, f.a.Tenant, "lost", 0, 1)
	refused(err, api.InvalidRequest)
	var rows string
	err = postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) || string_agg(o::text, '') FROM mapper.overrides o").Scan(&rows)
	})
	if err != nil || !strings.HasPrefix(rows, "1") {
		t.Error(rows, err)
	}
}

// While Postgres is away sightings wait, and are counted when it is back.
func TestAway(t *testing.T) {
	f := newFixture(t)
	f.queue.Propose(f.a.Tenant, "mine", answer("x", "PII.Other"), false)
	gone, stop := context.WithCancel(ctx)
	stop()
	if f.queue.Flush(gone) == nil {
		t.Fatal("it flushed without a database")
	}
	f.queue.Propose(f.a.Tenant, "mine", answer("x", "PII.Other"), false)
	if err := f.queue.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if open := f.open(t, f.a, "open"); len(open) != 1 || open[0].Seen != 2 {
		t.Errorf("%+v", open)
	}
	if f.overrides.Follow(gone) == nil {
		t.Error("it followed without a database")
	}
}

// A stop does not wait until a slow Postgres has taken everything.
func TestStop(t *testing.T) {
	f := newFixture(t)
	err := postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
			CREATE TRIGGER slow BEFORE INSERT ON mapper.proposals FOR EACH ROW EXECUTE FUNCTION slow()`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const labels = 20
	for i := range labels {
		f.queue.Propose(f.a.Tenant, "mine", answer(fmt.Sprint("x", i), "PII.Other"), false)
	}
	gone, stop := context.WithCancel(ctx)
	stop()
	f.queue.Run(gone)
	if open := f.open(t, f.a, "open"); len(open) == labels {
		t.Error("it has waited for all of them")
	}
}
