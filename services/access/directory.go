package access

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/snapshot"
)

// Refresh is how often a directory looks for changes; a revocation is in force within twice that.
const Refresh = 2 * time.Second

// overlap is how far back each look goes again, for transactions that took their time before they committed.
const overlap = 30 * time.Second

// Caller is who asks: a valid key, and what is set for its tenant.
type Caller struct {
	Key     *Key
	Tenant  *Tenant
	Service bool // one of our services asks, with a pass: limits were applied where the request came in
}

// Tenant is a tenant as the directory knows it.
type Tenant struct {
	ID string
	Settings
	Vault Vault
}

// keyRow and tenantRow are what Postgres and the file have. They can be compared with what is in force.
type keyRow struct {
	Key
	Hash    []byte
	Changed time.Time
}

type tenantRow struct {
	ID      string
	DataKey []byte
	Settings
	Changed time.Time
}

// Directory is all tenants and keys in memory. A copy is in a file, so that a service that starts while Postgres
// is away knows them too.
type Directory struct {
	pool    *pgxpool.Pool
	secrets *Secrets
	path    string
	log     *slog.Logger

	mu      sync.RWMutex // guards what follows
	keys    map[string]keyRow
	tenants map[string]tenantRow
	known   map[string]*Tenant
	used    map[string]time.Time // keys since the last flush

	loaded atomic.Bool
	failed atomic.Pointer[error] // of the last refresh
}

// NewDirectory makes a directory that knows what the file at path says. Run keeps it current.
func NewDirectory(pool *pgxpool.Pool, s *Secrets, path string, log *slog.Logger) *Directory {
	d := &Directory{
		pool: pool, secrets: s, path: path, log: log,
		keys: map[string]keyRow{}, tenants: map[string]tenantRow{}, known: map[string]*Tenant{}, used: map[string]time.Time{},
	}
	if err := d.restore(); err != nil {
		log.Warn("the copy of the keys cannot be used; Postgres has them", "cause", err.Error())
	}
	return d
}

// Run follows Postgres until ctx ends, then writes down which keys were used.
func (d *Directory) Run(ctx context.Context) {
	tick := time.NewTicker(Refresh)
	defer tick.Stop()
	for n := 0; ; n++ {
		d.Follow(ctx)
		if n%5 == 4 {
			d.flush(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.Deadline)
			defer cancel()
			d.flush(last)
			return
		}
	}
}

// Follow takes over what has changed in Postgres.
func (d *Directory) Follow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	changed, err := d.refresh(ctx)
	if err == nil && changed {
		err = d.save()
	}
	if before := d.failed.Swap(&err); err != nil && (before == nil || *before == nil) {
		d.log.Warn("changes of keys are not seen until Postgres answers", "cause", err.Error())
	}
}

// State is nil once keys are known. Its text is for everyone.
func (d *Directory) State() error {
	if !d.loaded.Load() {
		return errors.New("keys are not loaded; Postgres is away, or `mapperctl migrate up access` has not run")
	}
	return nil
}

// Fresh is nil while changes are seen.
func (d *Directory) Fresh() error {
	if err := d.failed.Load(); err != nil && *err != nil {
		return errors.New("away; keys are as they were, events wait in the journal")
	}
	return nil
}

func (d *Directory) refresh(ctx context.Context) (changed bool, err error) {
	since := time.Time{}
	d.mu.RLock()
	if d.loaded.Load() {
		for _, t := range d.tenants {
			since = later(since, t.Changed)
		}
		for _, k := range d.keys {
			since = later(since, k.Changed)
		}
	}
	d.mu.RUnlock()
	var tenants []tenantRow
	var keys []keyRow
	err = postgres.InTenant(ctx, d.pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id, data_key, key_limit, tenant_limit, retention_days, thresholds, changed_at FROM access.tenants WHERE changed_at > $1", since.Add(-overlap))
		if err != nil {
			return err
		}
		if tenants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t tenantRow, err error) {
			return t, row.Scan(&t.ID, &t.DataKey, &t.KeyLimit, &t.TenantLimit, &t.RetentionDays, &t.Thresholds, &t.Changed)
		}); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, "SELECT "+columns+", hash, changed_at FROM access.keys WHERE changed_at > $1", since.Add(-overlap))
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keyRow, err error) {
			return k, row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Role, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt, &k.LastUsedAt, &k.Hash, &k.Changed)
		})
		return err
	})
	if err != nil {
		return false, err
	}
	changed, err = d.merge(tenants, keys)
	d.loaded.Store(true)
	return changed, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// merge takes rows over. A tenant whose data key does not open stays unknown, and so do its keys.
func (d *Directory) merge(tenants []tenantRow, keys []keyRow) (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range tenants {
		if old, ok := d.tenants[t.ID]; ok && old.Changed.Equal(t.Changed) {
			continue
		}
		vault, openErr := d.secrets.Vault(t.ID, t.DataKey)
		if openErr != nil {
			err = openErr
			continue
		}
		d.tenants[t.ID], d.known[t.ID], changed = t, &Tenant{t.ID, t.Settings, vault}, true
	}
	for _, k := range keys {
		if old, ok := d.keys[k.ID]; !ok || !old.Changed.Equal(k.Changed) {
			d.keys[k.ID], changed = k, true
		}
	}
	return changed, err
}

// copied is the file's form.
type copied struct {
	Tenants []tenantRow
	Keys    []keyRow
}

func (d *Directory) save() error {
	var c copied
	d.mu.RLock()
	for _, t := range d.tenants {
		c.Tenants = append(c.Tenants, t)
	}
	for _, k := range d.keys {
		c.Keys = append(c.Keys, k)
	}
	d.mu.RUnlock()
	return snapshot.Save(d.path, c)
}

func (d *Directory) restore() error {
	var c copied
	if found, err := snapshot.Load(d.path, &c); !found || err != nil {
		return err
	}
	_, err := d.merge(c.Tenants, c.Keys)
	d.loaded.Store(err == nil)
	return err
}

// Who returns the caller of a key or a pass, or why it is not valid.
func (d *Directory) Who(key string) (Caller, error) {
	if strings.HasPrefix(key, passPrefix) {
		return d.passed(key, time.Now())
	}
	id, secret, ok := split(key)
	if !ok {
		return Caller{}, errBadKey()
	}
	d.mu.RLock()
	row, found := d.keys[id]
	tenant := d.known[row.Tenant]
	d.mu.RUnlock()
	equal := hmac.Equal(d.secrets.hash(id, secret), row.Hash) // of an unknown id too, which takes as long
	now := time.Now()
	switch {
	case !found || !equal || tenant == nil:
		return Caller{}, errBadKey()
	case row.RevokedAt != nil:
		return Caller{}, api.Errorf(api.Unauthorized, "the key was revoked; use another")
	case row.ExpiresAt != nil && !now.Before(*row.ExpiresAt):
		return Caller{}, api.Errorf(api.Unauthorized, "the key has expired; use another")
	}
	d.use(id, now)
	return Caller{Key: &row.Key, Tenant: tenant}, nil
}

func errBadKey() error {
	return api.Errorf(api.Unauthorized, "the key is not valid; send X-API-Key: lm_..., or Authorization: Bearer lm_...")
}

// use notes a key as used, once a second at most.
func (d *Directory) use(id string, now time.Time) {
	d.mu.RLock()
	noted := now.Sub(d.used[id]) < time.Second
	d.mu.RUnlock()
	if !noted {
		d.mu.Lock()
		d.used[id] = now
		d.mu.Unlock()
	}
}

// flush writes when keys were used last.
func (d *Directory) flush(ctx context.Context) {
	d.mu.Lock()
	used := d.used
	d.used = map[string]time.Time{}
	d.mu.Unlock()
	if len(used) == 0 {
		return
	}
	ids, times := make([]string, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, at)
	}
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	err := postgres.InTenant(ctx, d.pool, postgres.Everyone, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE access.keys k SET last_used_at = greatest(k.last_used_at, u.at)
			FROM (SELECT unnest($1::text[]) AS id, unnest($2::timestamptz[]) AS at) u WHERE k.id = u.id`, ids, times)
		return err
	})
	if err != nil {
		d.log.Debug("when keys were used is lost for ten seconds", "cause", err.Error())
	}
}

// Tenant returns a tenant by its id.
func (d *Directory) Tenant(id string) (*Tenant, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.known[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("tenant: %w", api.Errorf(api.NotFound, "there is no such tenant"))
}

// Tenants returns all tenants, deleted ones too.
func (d *Directory) Tenants() []*Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*Tenant, 0, len(d.known))
	for _, t := range d.known {
		out = append(out, t)
	}
	return out
}

// Deleted says whether the tenant was deleted: its data key is gone.
func (t *Tenant) Deleted() bool { return t.Vault.seal == nil }

// Deleted are the ids of those tenants that were deleted.
func Deleted(tenants []*Tenant) (ids []string) {
	for _, t := range tenants {
		if t.Deleted() {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
