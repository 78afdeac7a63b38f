// Package accesstest makes tenants and callers for tests that have no database.
package accesstest

import (
	"encoding/base64"
	"strings"
	"testing"

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
