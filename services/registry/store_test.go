package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/registry"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.DiscardHandler)
)

// fixture is a database with the tenants a and b, each of which is known to keys.
type fixture struct {
	dir     string
	log     *slog.Logger
	pool    *pgxpool.Pool
	access  *pgxpool.Pool
	store   *registry.Store
	tenants *access.Store
	keys    *access.Directory
	a, b    access.Caller
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	of := postgrestest.Migrated(t)
	f := &fixture{dir: t.TempDir(), log: quiet, pool: postgrestest.Pool(t, of("orchestration"), "orchestration"), access: postgrestest.Pool(t, of("access"), "access")}
	f.store = registry.NewStore(f.pool)
	f.keys, f.tenants = accesstest.Known(t, f.access, "a", "b")
	f.a, f.b = accesstest.CallerOf(t, f.keys, "a"), accesstest.CallerOf(t, f.keys, "b")
	return f
}

// put makes a version that says text.
func (f *fixture) put(t *testing.T, c access.Caller, kind registry.Kind, name, text string, activate bool) registry.Entry {
	t.Helper()
	e, _, err := f.store.Put(ctx, c, kind, name, says(text, activate))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func says(text string, activate bool) registry.Change {
	return registry.Change{Activate: activate, Make: func(*registry.Entry) ([]byte, string, error) { return []byte(text), "hash of " + text, nil }}
}

func refused(t *testing.T, err error, want api.Code) {
	t.Helper()
	if api.AsError(err).Code != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func brief(all ...registry.Entry) (s string) {
	for _, e := range all {
		s += fmt.Sprintf("%s %d/%d/%d %s; ", e.Name, e.Version, e.Newest, e.Active, e.Text)
	}
	return strings.TrimSuffix(s, "; ")
}

// The life of a name: versions, the one in force, going back, an end, and a new beginning.
func TestStore(t *testing.T) {
	f := newFixture(t)
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	get := func(version int) string {
		t.Helper()
		e, err := f.store.Get(ctx, f.a.Tenant, registry.Policies, "p", version)
		if err != nil {
			return string(api.AsError(err).Code)
		}
		return brief(e)
	}
	want(brief(f.put(t, f.a, registry.Policies, "p", "one", false)), "p 1/1/0 one")
	want(get(0), "p 1/1/0 one")
	want(brief(f.put(t, f.a, registry.Policies, "p", "two", true)), "p 2/2/2 two")
	want(brief(f.put(t, f.a, registry.Policies, "p", "three", false)), "p 3/3/2 three")
	want(brief(f.put(t, f.a, registry.Policies, "p", "three", false)), "p 3/3/2 three")
	want(get(0), "p 2/3/2 two")
	e, err := f.store.Activate(ctx, f.a, registry.Policies, "p", 1, 3)
	want(brief(e)+fmt.Sprint(err), "p 1/3/1 one<nil>")
	f.put(t, f.a, registry.Policies, "a", "x", true)
	f.put(t, f.a, registry.Detectors, "d", "y", true)
	all, err := f.store.List(ctx, f.a.Tenant, registry.Policies)
	want(brief(all...)+fmt.Sprint(err), "a 1/1/1 x; p 1/3/1 one<nil>")
	all, err = f.store.Versions(ctx, f.a.Tenant, registry.Policies, "p")
	want(brief(all...)+fmt.Sprint(err), "p 3/3/1 three; p 2/3/1 two; p 1/3/1 one<nil>")
	if all[0].KeyID != "key-a" || all[0].Hash != "hash of three" || all[0].CreatedAt.Before(all[2].CreatedAt) {
		t.Errorf("%+v", all)
	}

	_, err = f.store.Activate(ctx, f.a, registry.Policies, "p", 4, 0)
	refused(t, err, api.NotFound)
	_, err = f.store.Activate(ctx, f.a, registry.Policies, "p", 2, 2)
	refused(t, err, api.Conflict)
	refused(t, f.store.Remove(ctx, f.a, registry.Policies, "p", 2), api.Conflict)
	stale := says("four", true)
	stale.Match = 2
	_, _, err = f.store.Put(ctx, f.a, registry.Policies, "p", stale)
	refused(t, err, api.Conflict)
	_, _, err = f.store.Put(ctx, f.a, registry.Policies, "new", stale)
	refused(t, err, api.Conflict)
	_, _, err = f.store.Put(ctx, f.a, registry.Policies, "No", says("", true))
	refused(t, err, api.InvalidRequest)

	if err := f.store.Remove(ctx, f.a, registry.Policies, "p", 3); err != nil {
		t.Fatal(err)
	}
	want(get(0), "NOT_FOUND")
	want(get(2), "p 2/3/0 two")
	refused(t, f.store.Remove(ctx, f.a, registry.Policies, "p", 0), api.NotFound)
	_, err = f.store.Activate(ctx, f.a, registry.Policies, "p", 2, 0)
	refused(t, err, api.NotFound)
	_, err = f.store.Versions(ctx, f.a.Tenant, registry.Policies, "p")
	refused(t, err, api.NotFound)
	want(brief(f.put(t, f.a, registry.Policies, "p", "three", false)), "p 4/4/0 three")
}

// Each change makes one event, and what changes nothing makes none.
func TestEvents(t *testing.T) {
	f := newFixture(t)
	activate := func(version int, code api.Code) {
		t.Helper()
		if _, err := f.store.Activate(ctx, f.a, registry.Policies, "p", version, 0); (err != nil) != (code != "") || err != nil && api.AsError(err).Code != code {
			t.Error(err)
		}
	}
	f.put(t, f.a, registry.Policies, "p", "one", false)
	f.put(t, f.a, registry.Policies, "p", "two", true)
	f.put(t, f.a, registry.Policies, "p", "two", true)
	f.put(t, f.a, registry.Policies, "p", "three", false)
	activate(1, "")
	activate(1, "")
	activate(9, api.NotFound)
	f.put(t, f.a, registry.Detectors, "d", "y", true)
	if err := f.store.Remove(ctx, f.a, registry.Policies, "p", 3); err != nil {
		t.Fatal(err)
	}
	f.put(t, f.a, registry.Policies, "p", "three", false)
	f.put(t, f.b, registry.Policies, "p", "of another", true)
	const want = `create policy p, 1 hash of one: - -
update policy p, 2 hash of two: - 2 hash of two
update policy p, 3 hash of three: 2 hash of two 2 hash of two
activate policy p, 3 hash of three: 2 hash of two 1 hash of one
create detector d, 1 hash of y: - 1 hash of y
delete policy p, 3 hash of three: 1 hash of one -
create policy p, 4 hash of three: - -
`
	if got := f.events(t, f.a); got != want {
		t.Error(got)
	}
}

// events are a tenant's, a line each.
func (f *fixture) events(t *testing.T, c access.Caller) (lines string) {
	t.Helper()
	page, err := audit.NewFeed(f.pool).Events(ctx, c.Tenant, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range page.Events {
		var e api.RegistryEvent
		if err := json.Unmarshal(raw, &e); err != nil || e.Kind != api.EventRegistry || e.TenantID != c.Tenant.ID || e.KeyID != c.Key.ID || e.Time.IsZero() {
			t.Errorf("%s %v", raw, err)
		}
		lines += fmt.Sprintf("%s %s %s, %d %s:", e.Change, e.Object, e.Name, e.Newest.Version, e.Newest.Hash)
		for _, v := range []*api.RegistryVersion{e.Before, e.After} {
			if v == nil {
				lines += " -"
			} else {
				lines += fmt.Sprint(" ", v.Version, " ", v.Hash)
			}
		}
		lines += "\n"
	}
	return lines
}

// Tenants do not reach each other's, whatever the name, and the rows say nothing in clear.
func TestTenants(t *testing.T) {
	f := newFixture(t)
	f.put(t, f.a, registry.Detectors, "d", "canary of a", true)
	f.put(t, f.b, registry.Detectors, "d", "canary of b", true)
	f.put(t, f.b, registry.Policies, "p", "canary of p", true)
	if e, err := f.store.Get(ctx, f.a.Tenant, registry.Detectors, "d", 0); err != nil || string(e.Text) != "canary of a" {
		t.Errorf("%s %v", brief(e), err)
	}
	_, err := f.store.Get(ctx, f.a.Tenant, registry.Policies, "p", 0)
	refused(t, err, api.NotFound)
	refused(t, f.store.Remove(ctx, f.a, registry.Policies, "p", 0), api.NotFound)
	for as, want := range map[string]string{"a": "1 1", "b": "2 2", "*": "3 3", "": "0 0"} {
		err := postgres.InTenant(ctx, f.pool, as, func(tx pgx.Tx) error {
			var counts, rows string
			err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM orchestration.registered) || ' ' || (SELECT count(*) FROM orchestration.versions),
				coalesce((SELECT string_agg(v::text || encode(sealed, 'escape'), '') FROM orchestration.versions v), '')`).Scan(&counts, &rows)
			if counts != want || strings.Contains(strings.ReplaceAll(rows, "hash of canary", ""), "canary") {
				t.Errorf("%q sees %s, want %s: %s", as, counts, want, rows)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	err = postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO orchestration.registered (tenant, kind, name, newest, key) VALUES ('b', 'policy', 'x', 1, 'k')")
		return err
	})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("a wrote for b: %v", err)
	}
}

// The limits: names in use, and versions that are kept.
func TestStoreLimits(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	made := make([]bool, api.MaxRegistered+10)
	for i := range made {
		wg.Go(func() {
			_, _, err := f.store.Put(ctx, f.a, registry.Policies, fmt.Sprint("p", i), says("x", true))
			if made[i] = err == nil; err != nil && api.AsError(err).Code != api.InvalidRequest {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, m := range made {
		if m {
			n++
		}
	}
	if n != api.MaxRegistered {
		t.Errorf("%d names at once", n)
	}
	err := postgres.InTenant(ctx, f.pool, "b", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO orchestration.registered (tenant, kind, name, newest, key, removed) SELECT 'b', 'detector', 'd' || i, 1, 'k', true FROM generate_series(1, 1000) i")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = f.store.Put(ctx, f.b, registry.Detectors, "one-more", says("x", true))
	refused(t, err, api.InvalidRequest)
	f.put(t, f.b, registry.Policies, "p", "1", true)
	err = postgres.InTenant(ctx, f.pool, "b", func(tx pgx.Tx) error { // as many versions as are kept
		_, err := tx.Exec(ctx, `WITH more AS (INSERT INTO orchestration.versions SELECT tenant, kind, name, i, sealed, hash, key FROM orchestration.versions, generate_series(2, $1) i)
			UPDATE orchestration.registered SET newest = $1 WHERE kind = 'policy'`, api.MaxVersions)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, f.b, registry.Policies, "p", "next", false)
	f.put(t, f.b, registry.Policies, "p", "last", false)
	all, err := f.store.Versions(ctx, f.b.Tenant, registry.Policies, "p")
	if err != nil || len(all) != api.MaxVersions+1 || all[0].Version != api.MaxVersions+2 || all[api.MaxVersions].Version != 1 {
		t.Errorf("%d versions, %v", len(all), err)
	}
}
