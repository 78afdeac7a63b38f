// Package accesstest makes tenants and callers for tests, with a database and without.
package accesstest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
)

// Secrets are the same each time.
func Secrets(t testing.TB) *access.Secrets {
	t.Helper()
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	s, err := access.NewSecrets(config.Config{Access: config.Access{MasterKey: config.Secret(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Caller is an admin of a tenant, whose data key is new each time.
func Caller(t testing.TB, tenant string) access.Caller {
	t.Helper()
	s := Secrets(t)
	vault, err := s.Vault(tenant, s.NewDataKey(tenant))
	if err != nil {
		t.Fatal(err)
	}
	return access.Caller{Key: &access.Key{ID: "key-of-" + tenant, Tenant: tenant, Role: "admin", Scopes: access.Roles["admin"]}, Tenant: &access.Tenant{ID: tenant, Vault: vault}}
}

// Known makes tenants in a database and returns who knows them, and their store. pool is of the schema access.
func Known(t testing.TB, pool *pgxpool.Pool, tenants ...string) (*access.Directory, *access.Store) {
	t.Helper()
	store := access.NewStore(pool, Secrets(t))
	for _, tenant := range tenants {
		if _, err := store.EnsureTenant(context.Background(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	keys := access.NewDirectory(pool, Secrets(t), filepath.Join(t.TempDir(), "access.json"), slog.New(slog.DiscardHandler))
	keys.Follow(context.Background())
	return keys, store
}

// CallerOf is who asks for a tenant that is known.
func CallerOf(t testing.TB, keys *access.Directory, tenant string) access.Caller {
	t.Helper()
	known, err := keys.Tenant(tenant)
	if err != nil {
		t.Fatal(err)
	}
	return access.Caller{Key: &access.Key{ID: "key-" + tenant}, Tenant: known}
}
