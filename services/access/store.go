package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Store changes tenants and keys in Postgres.
type Store struct {
	pool    *pgxpool.Pool
	secrets *Secrets
}

// NewStore makes a store on a pool of the schema access.
func NewStore(pool *pgxpool.Pool, s *Secrets) *Store { return &Store{pool, s} }

// NewKey describes a key to be made.
type NewKey struct {
	Name    string
	Role    string
	Scopes  []Scope       // none: all of the role
	Expires time.Duration // 0: never
}

func (n *NewKey) check() error {
	all, ok := Roles[n.Role]
	switch {
	case !ok:
		return api.Errorf(api.InvalidRequest, "role must be viewer, operator or admin")
	case len(n.Name) > 100:
		return api.Errorf(api.InvalidRequest, "name must have at most 100 bytes")
	case n.Expires < 0:
		return api.Errorf(api.InvalidRequest, "the key would have expired already")
	}
	for _, s := range n.Scopes {
		if !slices.Contains(all, s) {
			return api.Errorf(api.InvalidRequest, "scopes may be some of the role's: %v", all)
		}
	}
	if len(n.Scopes) == 0 {
		n.Scopes = all
	}
	return nil
}

// EnsureTenant makes a tenant that is not there yet, and says whether it did.
func (s *Store) EnsureTenant(ctx context.Context, tenant string) (made bool, err error) {
	if tenant == "" || len(tenant) > api.MaxTenant || tenant == postgres.Everyone {
		return false, api.Errorf(api.InvalidRequest, "a tenant's id must have 1 to %d bytes and not be *", api.MaxTenant)
	}
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "INSERT INTO access.tenants (id, data_key) VALUES ($1, $2) ON CONFLICT DO NOTHING", tenant, s.secrets.NewDataKey(tenant))
		made = tag.RowsAffected() == 1
		return err
	})
	return made, err
}

// CreateKey makes a key for a tenant. The key itself is returned here and never again.
func (s *Store) CreateKey(ctx context.Context, tenant string, n NewKey) (key string, k *Key, err error) {
	if err := n.check(); err != nil {
		return "", nil, err
	}
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		key, k, err = s.insert(ctx, tx, tenant, n)
		return err
	})
	return key, k, err
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, tenant string, n NewKey) (string, *Key, error) {
	id, secret := newKey()
	rows, err := tx.Query(ctx, `INSERT INTO access.keys (id, tenant, hash, name, role, scopes, expires_at)
		SELECT $1, id, $3, $4, $5, $6, now() + $7 FROM access.tenants WHERE id = $2 AND data_key IS NOT NULL RETURNING `+columns,
		id, tenant, s.secrets.hash(id, secret), n.Name, n.Role, n.Scopes, interval(n.Expires))
	if err != nil {
		return "", nil, err
	}
	k, err := pgx.CollectExactlyOneRow(rows, scanKey)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such tenant")
	}
	return prefix + id + "_" + secret, k, err
}

// interval is a duration for Postgres, null for none.
func interval(d time.Duration) *time.Duration {
	if d == 0 {
		return nil
	}
	return &d
}

const columns = "id, tenant, name, role, scopes, created_at, expires_at, revoked_at, last_used_at"

func scanKey(row pgx.CollectableRow) (*Key, error) {
	var k Key
	err := row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Role, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt, &k.LastUsedAt)
	return &k, err
}

// maxKeys is how many keys of a tenant are listed.
const maxKeys = 1000

// Keys lists a tenant's keys, newest first.
func (s *Store) Keys(ctx context.Context, tenant string) (keys []*Key, err error) {
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+columns+" FROM access.keys WHERE tenant = $1 ORDER BY created_at DESC, id LIMIT $2", tenant, maxKeys)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, scanKey)
		return err
	})
	return keys, err
}

// Rotate makes a second key like the given one, with as long a life; the old one goes on for the time of grace.
func (s *Store) Rotate(ctx context.Context, tenant, id string, grace time.Duration) (key string, k *Key, err error) {
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+columns+` FROM access.keys
			WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) FOR UPDATE`, tenant, id)
		if err != nil {
			return err
		}
		old, err := pgx.CollectExactlyOneRow(rows, scanKey)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoKey()
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE access.keys SET changed_at = clock_timestamp(), expires_at = least(expires_at, now() + $2) WHERE id = $1", id, grace); err != nil {
			return err
		}
		like := NewKey{Name: old.Name, Role: old.Role, Scopes: old.Scopes}
		if old.ExpiresAt != nil {
			like.Expires = old.ExpiresAt.Sub(old.CreatedAt)
		}
		key, k, err = s.insert(ctx, tx, tenant, like)
		return err
	})
	return key, k, err
}

func errNoKey() error { return api.Errorf(api.NotFound, "there is no such key that is valid") }

// Revoke ends a key; every replica follows within Refresh.
func (s *Store) Revoke(ctx context.Context, tenant, id string) error {
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE access.keys SET changed_at = clock_timestamp(), revoked_at = now() WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL`, tenant, id)
		if err == nil && tag.RowsAffected() == 0 {
			err = errNoKey()
		}
		return err
	})
}

// Settings are a tenant's own; nil is the default of the service.
type Settings struct {
	KeyLimit      *int `json:"key_limit"`      // requests a minute of one key; 0 is no limit
	TenantLimit   *int `json:"tenant_limit"`   // of all keys together
	RetentionDays *int `json:"retention_days"` // of events; 0 keeps them

	// Thresholds are the confidences below which an answer is OTHER.Unknown: by detector, detector/LABEL or */LABEL.
	Thresholds map[string]float64 `json:"thresholds,omitempty"`
}

// maxThresholds is how many of them a tenant may have.
const maxThresholds = 1000

// Set replaces a tenant's settings.
func (s *Store) Set(ctx context.Context, tenant string, to Settings) error {
	for _, v := range []*int{to.KeyLimit, to.TenantLimit, to.RetentionDays} {
		if v != nil && (*v < 0 || *v > 1e9) {
			return api.Errorf(api.InvalidRequest, "a setting must be 0 to 1000000000")
		}
	}
	if len(to.Thresholds) > maxThresholds {
		return api.Errorf(api.InvalidRequest, "there may be %d thresholds", maxThresholds)
	}
	for _, v := range to.Thresholds {
		if v < 0 || v > 1 {
			return api.Errorf(api.InvalidRequest, "a threshold must be 0 to 1")
		}
	}
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		return updateTenant(ctx, tx, tenant, "key_limit = $2, tenant_limit = $3, retention_days = $4, thresholds = $5", to.KeyLimit, to.TenantLimit, to.RetentionDays, to.Thresholds)
	})
}

// Delete ends a tenant: its keys are revoked and its data key is destroyed, and with that everything that was
// sealed for it, in journals and backups of the events too. What stays is the audit, which nobody can open, and the ids and
// roles of its keys; services delete the rest once they know. It cannot be taken back.
func (s *Store) Delete(ctx context.Context, tenant string) error {
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		if err := updateTenant(ctx, tx, tenant, "data_key = NULL, thresholds = NULL"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE access.keys SET changed_at = clock_timestamp(), revoked_at = coalesce(revoked_at, now()), name = '' WHERE tenant = $1", tenant)
		return err
	})
}

func updateTenant(ctx context.Context, tx pgx.Tx, tenant, set string, args ...any) error {
	tag, err := tx.Exec(ctx, fmt.Sprintf("UPDATE access.tenants SET changed_at = clock_timestamp(), %s WHERE id = $1", set), append([]any{tenant}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = api.Errorf(api.NotFound, "there is no such tenant")
	}
	return err
}
