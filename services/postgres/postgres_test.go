package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

func migrator(t *testing.T, d config.Database, service string) *postgres.Migrator {
	t.Helper()
	m, err := postgres.NewMigrator(d, service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// populate puts a row into every table of a schema that has only text, numbers, bytes and times.
var populate = map[string][]string{
	"access": {
		"INSERT INTO access.tenants (id, data_key) VALUES ('a', 'x')",
		"INSERT INTO access.keys (id, tenant, hash, name, role, scopes) VALUES ('k', 'a', 'x', 'n', 'admin', '{map}')",
	},
	"mapper": {
		"INSERT INTO mapper.chains (tenant, hash, pruned_hash) VALUES ('a', 'x', 'x')",
		"INSERT INTO mapper.events (tenant, seq, at, leaf, hash, sealed) VALUES ('a', 1, now(), 'x', 'x', 'x')",
		"INSERT INTO mapper.seals (tenant, seq, hash, at, signature) VALUES ('a', 1, 'x', now(), 'x')",
		"INSERT INTO mapper.journals (replica, position) VALUES ('r', 1)",
		"INSERT INTO mapper.overrides (tenant, detector, digest, id, sealed, labels, key) VALUES ('a', 'd', 'x', 'i', 'x', '{OTHER.Safe}', 'k')",
		"INSERT INTO mapper.proposals (tenant, detector, digest, id, sealed, label, confidence, candidates, model, seen) VALUES ('a', 'd', 'x', 'i', 'x', 'OTHER.Safe', 1, '[]', 'm', 1)",
		"INSERT INTO mapper.decisions (tenant, key, action, id, detector, labels) VALUES ('a', 'k', 'accept', 'i', 'd', '{OTHER.Safe}')",
		"INSERT INTO mapper.jobs (tenant, id, key_id) VALUES ('a', 'j', 'k')",
		"INSERT INTO mapper.job_chunks (tenant, job, number, first, lines, input) VALUES ('a', 'j', 0, 1, 1, 'x')",
		"INSERT INTO mapper.river_job (kind, args) VALUES ('k', '{}')",
	},
	"orchestration": {
		"INSERT INTO orchestration.registered (tenant, kind, name, newest, key) VALUES ('a', 'policy', 'p', 1, 'k')",
		"INSERT INTO orchestration.versions (tenant, kind, name, version, sealed, hash, key) VALUES ('a', 'policy', 'p', 1, 'x', 'h', 'k')",
		"INSERT INTO orchestration.chains (tenant, hash, pruned_hash) VALUES ('a', 'x', 'x')",
		"INSERT INTO orchestration.events (tenant, seq, at, leaf, hash, sealed) VALUES ('a', 1, now(), 'x', 'x', 'x')",
		"INSERT INTO orchestration.seals (tenant, seq, hash, at, signature) VALUES ('a', 1, 'x', now(), 'x')",
		"INSERT INTO orchestration.journals (replica, position) VALUES ('r', 1)",
		"INSERT INTO orchestration.jobs (tenant, id, key_id, river_id, state, finished_at) VALUES ('a', 'j', 'k', 1, 'completed', now())",
	},
}

// Every schema goes up, all the way down and up again with rows in its tables.
func TestMigrations(t *testing.T) {
	of := postgrestest.New(t)
	ctx := context.Background()
	for _, service := range postgres.Services {
		t.Run(service, func(t *testing.T) {
			m, pool := migrator(t, of(service), service), postgrestest.Pool(t, of(service), service)
			for range 2 {
				n, err := m.Up(ctx)
				if err != nil || n == 0 {
					t.Fatalf("up: %d steps, %v", n, err)
				}
				err = postgres.InTenant(ctx, pool, "a", func(tx pgx.Tx) error {
					for _, statement := range populate[service] {
						if _, err := tx.Exec(ctx, statement); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for range n {
					if err := m.Down(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			steps, err := m.Status(ctx)
			if err != nil || len(steps) == 0 || steps[0].Applied {
				t.Errorf("%v %v", steps, err)
			}
		})
	}
}

// Statements of the code before a migration run on the schema after it, so that both releases work during a switch.
func TestCodeBefore(t *testing.T) {
	of, ctx := postgrestest.Migrated(t), context.Background()
	for service, statements := range map[string][]string{
		"access": {
			"INSERT INTO access.tenants (id, data_key) VALUES ('b', 'x') ON CONFLICT DO NOTHING",
			"UPDATE access.tenants SET changed_at = clock_timestamp(), key_limit = 1, tenant_limit = 1, retention_days = 1 WHERE id = 'b'",
			"SELECT id, data_key, key_limit, tenant_limit, retention_days, changed_at FROM access.tenants WHERE changed_at > '2026-01-01'",
		},
		"mapper": {
			"INSERT INTO mapper.chains (tenant, hash, pruned_hash) VALUES ('b', 'x', 'x')",
			"INSERT INTO mapper.events (tenant, seq, at, leaf, hash, sealed) SELECT 'b', 1, now(), 'x', 'x', 'x'",
			"SELECT seq, at, leaf, hash, sealed FROM mapper.events WHERE tenant = 'b' AND seq > 0 ORDER BY seq LIMIT 5",
		},
	} {
		pool := postgrestest.Pool(t, of(service), service)
		for _, statement := range statements {
			err := postgres.InTenant(ctx, pool, "b", func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, statement)
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
}

// Replicas that migrate at once apply each step once.
func TestMigrateAtOnce(t *testing.T) {
	of := postgrestest.New(t)
	var wg sync.WaitGroup
	applied := make([]int, 4)
	for i := range applied {
		m := migrator(t, of("mapper"), "mapper")
		wg.Go(func() {
			var err error
			if applied[i], err = m.Up(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range applied {
		sum += n
	}
	if steps, err := migrator(t, of("mapper"), "mapper").Status(context.Background()); err != nil || sum != len(steps) {
		t.Errorf("%v of %d steps, %v", applied, len(steps), err)
	}
}

// Without any condition in the statement a transaction sees and changes its own tenant's rows only; without a tenant,
// none.
func TestRowLevelSecurity(t *testing.T) {
	of := postgrestest.Migrated(t)
	ctx := context.Background()
	for _, service := range postgres.Services {
		pool := postgrestest.Pool(t, of(service), service)
		rows, err := pool.Query(ctx, "SELECT c.relname, c.relforcerowsecurity FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'", service)
		if err != nil {
			t.Fatal(err)
		}
		var table string
		var forced bool
		if _, err := pgx.ForEachRow(rows, []any{&table, &forced}, func() error {
			if !forced && table != "schema_version" && table != "journals" && !strings.HasPrefix(table, "river_") { // those have no tenant
				return fmt.Errorf("%s has no row-level security", table)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	pool := postgrestest.Pool(t, of("mapper"), "mapper")
	insert := func(as, of string) error {
		return postgres.InTenant(ctx, pool, as, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO mapper.events (tenant, seq, at, leaf, hash, sealed) VALUES ($1, 1, now(), 'x', 'x', 'x')", of)
			return err
		})
	}
	if err := errors.Join(insert("a", "a"), insert("*", "b")); err != nil {
		t.Fatal(err)
	}
	var pg *pgconn.PgError
	if err := insert("a", "b"); !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("a wrote for b: %v", err)
	}
	for as, want := range map[string]string{"a": "[a]", "b": "[b]", "*": "[a b]", "": "[]", "c": "[]"} {
		err := postgres.InTenant(ctx, pool, as, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, "SELECT tenant FROM mapper.events ORDER BY tenant")
			if err != nil {
				return err
			}
			seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if fmt.Sprint(seen) != want {
				t.Errorf("%q sees %v, want %s", as, seen, want)
			}
			if as == "c" {
				tag, err := tx.Exec(ctx, "DELETE FROM mapper.events")
				if err != nil || tag.RowsAffected() != 0 {
					t.Errorf("c deleted %d: %v", tag.RowsAffected(), err)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := postgrestest.Pool(t, of("access"), "access").Exec(ctx, "SELECT * FROM mapper.events"); !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("another service's role reads the schema: %v", err)
	}
}

// What a client is told when the server is away, and when a statement is wrong.
func TestAway(t *testing.T) {
	pool := postgrestest.Pool(t, config.Database{Host: "127.0.0.1", Port: 1, Name: "n", User: "u", Password: "hunter2", TLS: "prefer", Connections: 1}, "mapper")
	_, err := pool.Exec(context.Background(), "SELECT 1")
	if e := api.AsError(postgres.Away(err)); e.Code != api.Unavailable || strings.Contains(e.Message, "127") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%+v", e)
	}
	if e := api.AsError(postgres.Away(&pgconn.PgError{Code: "42601"})); e.Code != api.Internal {
		t.Errorf("%+v", e)
	}
	if e := api.AsError(postgres.Away(api.Errorf(api.NotFound, "x"))); e.Code != api.NotFound || postgres.Away(nil) != nil {
		t.Errorf("%+v", e)
	}
	if _, err := postgres.Open(config.Database{Host: "h", Port: 1, TLS: "sometimes", Password: "hunter2"}, "mapper", prometheus.NewRegistry()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a wrong tls: %v", err)
	}
}
