package postgres_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/bulk"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/review"
	"github.com/llama-mapper/llama-mapper/services/task"
)

// kept are the tables of which a deleted tenant's rows stay: the audit, which nobody can open any more and whose chain
// still verifies, and the keys, which others must see as revoked.
var kept = []string{"keys", "chains", "events", "seals"}

// rowsOf counts a tenant's rows in every table that has a column for the tenant.
func rowsOf(t *testing.T, pool *pgxpool.Pool, service, tenant string) map[string]int {
	t.Helper()
	count := map[string]int{}
	err := postgres.InTenant(context.Background(), pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(context.Background(), "SELECT table_name FROM information_schema.columns WHERE table_schema = $1 AND column_name = 'tenant'", service)
		if err != nil {
			return err
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, table := range tables {
			n := 0
			if err := tx.QueryRow(context.Background(), "SELECT count(*) FROM "+service+"."+table+" WHERE tenant = $1", tenant).Scan(&n); err != nil {
				return err
			}
			count[table] = n
		}
		return nil
	})
	if err != nil || len(count) == 0 {
		t.Fatal(count, err)
	}
	return count
}

// fill gives a tenant a row in every table.
func fill(t *testing.T, pools map[string]*pgxpool.Pool, tenant string) {
	t.Helper()
	for service, statements := range populate {
		for _, statement := range statements {
			if !strings.Contains(statement, "(tenant") && !strings.Contains(statement, ", tenant") {
				continue
			}
			statement = strings.NewReplacer("'a'", "'"+tenant+"'", "('k'", "('"+tenant+"'").Replace(statement)
			if err := postgres.InTenant(t.Context(), pools[service], tenant, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), statement); return err }); err != nil {
				t.Fatal(statement, err)
			}
		}
		for table, n := range rowsOf(t, pools[service], service, tenant) {
			if n == 0 {
				t.Errorf("populate has no row for %s.%s", service, table)
			}
		}
	}
}

// tidy has the services do what they do now and then, until the test ends.
func tidy(t *testing.T, pools map[string]*pgxpool.Pool, keys *access.Directory) {
	t.Helper()
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	directory, err := registry.NewDirectory(pools["orchestration"], keys, filepath.Join(t.TempDir(), "copy.json"), nil, config.DefaultPolicy(), log)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := bulk.New(pools["mapper"], nil, keys, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := task.New(pools["orchestration"], nil, keys, egress.New(nil), log, reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(context.Context){jobs.Run, tasks.Run} {
		done := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() { defer close(done); run(ctx) }()
		t.Cleanup(func() { stop(); <-done })
	}
	if err := review.NewQueue(pools["mapper"], nil, keys, log, reg).Tidy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := directory.Tidy(t.Context()); err != nil {
		t.Error(err)
	}
}

// Of a tenant that was deleted the services keep its audit and what its keys were, and nothing else in any table.
func TestForgotten(t *testing.T) {
	of := postgrestest.Migrated(t)
	pools := map[string]*pgxpool.Pool{}
	for _, service := range postgres.Services {
		pools[service] = postgrestest.Pool(t, of(service), service)
	}
	keys, tenants := accesstest.Known(t, pools["access"], "a", "b")
	for _, tenant := range []string{"a", "b"} {
		fill(t, pools, tenant)
	}
	if err := tenants.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	keys.Follow(t.Context())
	tidy(t, pools, keys)
	left := func(service string) (tables []string) {
		for table, n := range rowsOf(t, pools[service], service, "a") {
			if n > 0 {
				tables = append(tables, table)
			}
		}
		slices.Sort(tables)
		return tables
	}
	for service, want := range map[string][]string{"access": kept[:1], "mapper": kept[1:], "orchestration": kept[1:]} {
		for end := time.Now().Add(time.Minute); !slices.Equal(left(service), want) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		}
		if tables := left(service); !slices.Equal(tables, want) {
			t.Errorf("%s has rows of the tenant in %v, not %v", service, tables, want)
		}
		for table, n := range rowsOf(t, pools[service], service, "b") {
			if n == 0 {
				t.Errorf("another tenant's rows in %s are gone", table)
			}
		}
	}
	all, err := tenants.Keys(t.Context(), "a")
	if err != nil || len(all) != 1 || all[0].RevokedAt == nil || all[0].Name != "" {
		t.Errorf("%+v %v", all, err)
	}
}
