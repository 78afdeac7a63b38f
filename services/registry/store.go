package registry

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Kind is what an entry is of.
type Kind string

// The kinds, as Postgres has them.
const (
	Detectors Kind = "detector"
	Policies  Kind = "policy"
)

// maxNames is how many names of a kind a tenant may have used, those that were removed too: their versions are kept.
const maxNames = 1000

// Entry is one version of what a name stands for.
type Entry struct {
	Name      string
	Version   int
	Newest    int // the newest version of the name
	Active    int // the version in force; 0 if none is
	Text      []byte
	Hash      string
	KeyID     string // who made it
	CreatedAt time.Time
}

// Store has what is registered in Postgres.
type Store struct{ pool *pgxpool.Pool }

// NewStore makes a store on a pool of the schema orchestration.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool} }

// Change describes a new version.
type Change struct {
	Match    int  // the newest version that the caller knows of; 0 where it does not say
	Activate bool // whether it comes into force

	// Make returns the new version's text and hash. old is the newest there is, nil where the name is not in use.
	Make func(old *Entry) (text []byte, hash string, err error)
}

var naming = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func errName() *api.Error {
	return api.Errorf(api.InvalidRequest, "name: it must have 1 to 64 characters of a-z, 0-9 and -")
}

// Put makes a version. One that says the same as the newest is the newest, with made false.
func (s *Store) Put(ctx context.Context, c access.Caller, kind Kind, name string, change Change) (e Entry, made bool, err error) {
	if !naming.MatchString(name) {
		return e, false, errName()
	}
	err = s.change(ctx, c, kind, name, change.Match, func(tx pgx.Tx, old *Entry, newest int) error {
		text, hash, err := change.Make(old)
		if err != nil {
			return err
		}
		e = Entry{Name: name, Version: newest + 1, Newest: newest + 1, Text: text, Hash: hash, KeyID: c.Key.ID, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
		if old != nil {
			e.Active = old.Active
		}
		if made = old == nil || !bytes.Equal(old.Text, text); !made {
			e = *old
		}
		if change.Activate {
			e.Active = e.Version
		}
		return s.put(ctx, tx, c, kind, e, old == nil, made)
	})
	return e, made, err
}

func (s *Store) put(ctx context.Context, tx pgx.Tx, c access.Caller, kind Kind, e Entry, fresh, made bool) error {
	if fresh {
		if err := room(ctx, tx, c.Tenant, kind); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO orchestration.registered (tenant, kind, name, newest, active, key) VALUES ($1, $2, $3, $4, nullif($5, 0), $6)
		ON CONFLICT (tenant, kind, name) DO UPDATE SET newest = excluded.newest, active = excluded.active, key = excluded.key,
			removed = false, changed_at = clock_timestamp()`, c.Tenant.ID, kind, e.Name, e.Newest, e.Active, c.Key.ID)
	if err != nil || !made {
		return err
	}
	sealed, err := c.Tenant.Vault.Seal(e.Text)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO orchestration.versions (tenant, kind, name, version, sealed, hash, key, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.Tenant.ID, kind, e.Name, e.Version, sealed, e.Hash, e.KeyID, e.CreatedAt); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM orchestration.versions WHERE tenant = $1 AND kind = $2 AND name = $3 AND version <= $4 AND version <> $5",
		c.Tenant.ID, kind, e.Name, e.Version-api.MaxVersions, e.Active)
	return err
}

// room says whether a tenant may use another name.
func room(ctx context.Context, tx pgx.Tx, t *access.Tenant, kind Kind) error {
	var used, all int
	err := tx.QueryRow(ctx, "SELECT count(*) FILTER (WHERE NOT removed), count(*) FROM orchestration.registered WHERE tenant = $1 AND kind = $2", t.ID, kind).Scan(&used, &all)
	switch {
	case err != nil:
		return err
	case used >= api.MaxRegistered:
		return api.Errorf(api.InvalidRequest, "a tenant may have %d of these; delete one that is not needed", api.MaxRegistered)
	case all >= maxNames:
		return api.Errorf(api.InvalidRequest, "%d names were used already, deleted ones too; use one of those again", maxNames)
	}
	return nil
}

// change runs do in a transaction, one of a tenant's at a time, and makes an event of what it changes. old is the newest
// version, nil where the name is not in use; newest is its number even then, 0 where the name never was.
func (s *Store) change(ctx context.Context, c access.Caller, kind Kind, name string, match int, do func(tx pgx.Tx, old *Entry, newest int) error) error {
	t := c.Tenant
	return postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('registry ' || $1, 0))", t.ID); err != nil {
			return err
		}
		e, removed, err := one(ctx, tx, t, kind, name, "r.newest")
		old := &e
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && removed:
			old = nil
		case err != nil:
			return err
		}
		if match != 0 && (old == nil || e.Newest != match) {
			return api.Errorf(api.Conflict, "it was changed since; read it again, and send its ETag in If-Match")
		}
		before, err := stateOf(ctx, tx, t, kind, name)
		if err != nil {
			return err
		}
		if err := do(tx, old, e.Newest); err != nil {
			return err
		}
		return record(ctx, tx, c, kind, name, before)
	})
}

// one reads one version, whose number is the SQL of which.
func one(ctx context.Context, tx pgx.Tx, t *access.Tenant, kind Kind, name, which string, args ...any) (e Entry, removed bool, err error) {
	var sealed []byte
	e.Name = name
	err = tx.QueryRow(ctx, `SELECT v.version, r.newest, coalesce(r.active, 0), v.sealed, v.hash, v.key, v.created_at, r.removed
		FROM orchestration.registered r JOIN orchestration.versions v USING (tenant, kind, name)
		WHERE r.tenant = $1 AND r.kind = $2 AND r.name = $3 AND v.version = `+which, append([]any{t.ID, kind, name}, args...)...).Scan(
		&e.Version, &e.Newest, &e.Active, &sealed, &e.Hash, &e.KeyID, &e.CreatedAt, &removed)
	if err != nil {
		return e, removed, err
	}
	e.Text, err = t.Vault.Open(sealed)
	return e, removed, err
}

// Get returns a version; for 0 the one in force, or the newest if none is. A version that is named is there even after
// the name was deleted.
func (s *Store) Get(ctx context.Context, t *access.Tenant, kind Kind, name string, version int) (e Entry, err error) {
	var removed bool
	err = postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) (err error) {
		e, removed, err = one(ctx, tx, t, kind, name, "coalesce(nullif($4, 0), r.active, r.newest)", version)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && removed && version == 0 {
		err = errNone()
	}
	return e, err
}

func errNone() error { return api.Errorf(api.NotFound, "there is none of that name and version") }

// List returns a tenant's entries of a kind by name, each as Get has it.
func (s *Store) List(ctx context.Context, t *access.Tenant, kind Kind) ([]Entry, error) {
	return s.entries(ctx, t, "r.kind = $2 AND NOT r.removed AND v.version = coalesce(r.active, r.newest) ORDER BY r.name", kind)
}

// Versions returns the versions of a name, newest first.
func (s *Store) Versions(ctx context.Context, t *access.Tenant, kind Kind, name string) ([]Entry, error) {
	all, err := s.entries(ctx, t, "r.kind = $2 AND NOT r.removed AND r.name = $3 ORDER BY v.version DESC", kind, name)
	if err == nil && len(all) == 0 {
		err = errNone()
	}
	return all, err
}

func (s *Store) entries(ctx context.Context, t *access.Tenant, where string, args ...any) (all []Entry, err error) {
	err = postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT r.name, v.version, r.newest, coalesce(r.active, 0), v.sealed, v.hash, v.key, v.created_at
			FROM orchestration.registered r JOIN orchestration.versions v USING (tenant, kind, name) WHERE r.tenant = $1 AND `+where, append([]any{t.ID}, args...)...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (e Entry, err error) {
			var sealed []byte
			if err := r.Scan(&e.Name, &e.Version, &e.Newest, &e.Active, &sealed, &e.Hash, &e.KeyID, &e.CreatedAt); err != nil {
				return e, err
			}
			e.Text, err = t.Vault.Open(sealed)
			return e, err
		})
		return err
	})
	return all, err
}

// Activate brings a version into force.
func (s *Store) Activate(ctx context.Context, c access.Caller, kind Kind, name string, version, match int) (e Entry, err error) {
	err = s.change(ctx, c, kind, name, match, func(tx pgx.Tx, old *Entry, _ int) (err error) {
		if old == nil {
			return errNone()
		}
		if e, _, err = one(ctx, tx, c.Tenant, kind, name, "$4", version); errors.Is(err, pgx.ErrNoRows) {
			return errNone()
		}
		e.Active = version
		return errors.Join(err, update(ctx, tx, c, kind, name, "active = $5", version))
	})
	return e, err
}

// Remove ends a name. Its versions stay readable, and go on if it is used again.
func (s *Store) Remove(ctx context.Context, c access.Caller, kind Kind, name string, match int) error {
	return s.change(ctx, c, kind, name, match, func(tx pgx.Tx, old *Entry, _ int) error {
		if old == nil {
			return errNone()
		}
		return update(ctx, tx, c, kind, name, "active = NULL, removed = true")
	})
}

func update(ctx context.Context, tx pgx.Tx, c access.Caller, kind Kind, name, set string, args ...any) error {
	_, err := tx.Exec(ctx, "UPDATE orchestration.registered SET changed_at = clock_timestamp(), key = $4, "+set+" WHERE tenant = $1 AND kind = $2 AND name = $3",
		append([]any{c.Tenant.ID, kind, name, c.Key.ID}, args...)...)
	return err
}
