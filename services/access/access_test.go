package access_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func secrets(t testing.TB, fill byte) *access.Secrets {
	t.Helper()
	key := []byte(strings.Repeat(string(rune(fill)), 32))
	s, err := access.NewSecrets(config.Config{Access: config.Access{MasterKey: config.Secret(base64.StdEncoding.EncodeToString(key))}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fixture is a database with the tenants a and b.
type fixture struct {
	pool  *pgxpool.Pool
	store *access.Store
	keys  *access.Directory
	path  string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	pool, err := postgres.Open(postgrestest.Migrated(t)("access"), "access", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	f := &fixture{pool: pool, store: access.NewStore(pool, secrets(t, 'k')), path: filepath.Join(t.TempDir(), "access.json")}
	f.keys = access.NewDirectory(pool, secrets(t, 'k'), f.path, quiet)
	for _, tenant := range []string{"a", "b"} {
		if made, err := f.store.EnsureTenant(ctx, tenant); err != nil || !made {
			t.Fatal(made, err)
		}
	}
	return f
}

func (f *fixture) create(t testing.TB, tenant, role string) (string, *access.Key) {
	t.Helper()
	key, k, err := f.store.CreateKey(ctx, tenant, access.NewKey{Name: "test", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	return key, k
}

// code is the error code of asking who has a key.
func (f *fixture) code(key string) api.Code {
	if _, err := f.keys.Who(key); err != nil {
		return api.AsError(err).Code
	}
	return ""
}

// A key's life: made, used, rotated with both valid, expired, revoked; its secret is nowhere.
func TestKeys(t *testing.T) {
	f := newFixture(t)
	key, k := f.create(t, "a", "operator")
	c, err := f.keys.Who(key)
	if err != nil || c.Tenant.ID != "a" || c.Key.ID != k.ID || fmt.Sprint(c.Key.Scopes) != "[map orchestrate analyze read review]" {
		t.Fatalf("%+v %v", c, err)
	}
	for _, wrong := range []string{"", "lm_", key[:len(key)-1], key + "a", "lm_" + strings.Repeat("a", 16) + "_" + strings.Repeat("b", 32), key[:len(key)-1] + "!", strings.ToUpper(key)} {
		if f.code(wrong) != api.Unauthorized {
			t.Errorf("%q was let in", wrong)
		}
	}
	second, k2, err := f.store.Rotate(ctx, "a", k.ID, time.Hour)
	if err != nil || k2.Role != k.Role {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	if f.code(key) != "" || f.code(second) != "" {
		t.Error("after a rotation both must be valid")
	}
	third, _, err := f.store.Rotate(ctx, "a", k2.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	if f.code(second) != api.Unauthorized || f.code(third) != "" {
		t.Error("a rotation without grace ends the old key")
	}
	if _, _, err := f.store.Rotate(ctx, "a", k2.ID, 0); api.AsError(err).Code != api.NotFound {
		t.Errorf("rotated an expired key: %v", err)
	}
	if err := f.store.Revoke(ctx, "b", k.ID); api.AsError(err).Code != api.NotFound {
		t.Errorf("b revoked a key of a: %v", err)
	}
	if err := f.store.Revoke(ctx, "a", k.ID); err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	if f.code(key) != api.Unauthorized {
		t.Error("a revoked key was let in")
	}
	var rows string
	err = postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT string_agg(k::text, '') || (SELECT string_agg(t::text, '') FROM access.tenants t) FROM access.keys k").Scan(&rows)
	})
	file, fileErr := os.ReadFile(f.path)
	if err != nil || fileErr != nil || strings.Contains(rows+string(file), key[20:]) || !strings.Contains(rows, k.ID) {
		t.Errorf("the secret is kept, or nothing is: %v %v", err, fileErr)
	}
}

// A key that replaces one with an end has one too.
func TestRotationKeepsLife(t *testing.T) {
	f := newFixture(t)
	_, k, err := f.store.CreateKey(ctx, "a", access.NewKey{Role: "viewer", Expires: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := f.store.Rotate(ctx, "a", k.ID, time.Hour)
	if err != nil || next.ExpiresAt == nil || next.ExpiresAt.Before(*k.ExpiresAt) || next.ExpiresAt.Sub(next.CreatedAt) != k.ExpiresAt.Sub(k.CreatedAt) {
		t.Errorf("%+v after %+v, %v", next, k, err)
	}
}

// A running directory follows a revocation within five seconds, and writes down when keys were used.
func TestFollows(t *testing.T) {
	f := newFixture(t)
	key, k := f.create(t, "a", "viewer")
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); f.keys.Run(run) }()
	if f.code(key) != "" {
		t.Fatal("a valid key is not let in")
	}
	begin := time.Now()
	if err := f.store.Revoke(ctx, "a", k.ID); err != nil {
		t.Fatal(err)
	}
	for f.code(key) == "" && time.Since(begin) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("revoked after %v", time.Since(begin))
	if access.Refresh*2 >= 5*time.Second || f.code(key) == "" {
		t.Error("the revocation is not followed in time")
	}
	stop()
	<-done
	keys, err := f.store.Keys(ctx, "a")
	if err != nil || len(keys) != 1 || keys[0].LastUsedAt == nil || keys[0].RevokedAt == nil {
		t.Errorf("%+v %v", keys, err)
	}
}

// While Postgres is away a new process knows the keys from the copy; without one it knows that it does not.
func TestAway(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, "a", "viewer")
	gone, err := postgres.Open(config.Database{Host: "127.0.0.1", Port: 1, Name: "x", User: "x", TLS: "disable", Connections: 1}, "access", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	again := access.NewDirectory(gone, secrets(t, 'k'), f.path, quiet)
	again.Follow(ctx)
	c, err := again.Who(key)
	if err != nil || again.State() != nil || again.Fresh() == nil {
		t.Fatalf("%v, state %v", err, again.State())
	}
	sealed, err := c.Tenant.Vault.Seal([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	original, err := f.keys.Who(key)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := original.Tenant.Vault.Open(sealed); err != nil || string(plain) != "x" || original.Tenant.Vault.Digest("y") != c.Tenant.Vault.Digest("y") {
		t.Errorf("%q %v", plain, err)
	}
	empty := access.NewDirectory(gone, secrets(t, 'k'), filepath.Join(t.TempDir(), "none.json"), quiet)
	empty.Follow(ctx)
	if empty.State() == nil {
		t.Error("it claims to know keys")
	}
	if err := os.WriteFile(f.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if access.NewDirectory(gone, secrets(t, 'k'), f.path, quiet).State() == nil {
		t.Error("a damaged copy was taken")
	}
	other := access.NewDirectory(f.pool, secrets(t, 'o'), filepath.Join(t.TempDir(), "other.json"), quiet)
	other.Follow(ctx)
	if _, err := other.Who(key); err == nil || other.Fresh() == nil {
		t.Error("another master key knows the keys")
	}
}

// What cannot be made says why.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	for _, n := range []access.NewKey{{Role: "owner"}, {Role: "viewer", Scopes: []string{"admin"}}, {Role: "viewer", Name: strings.Repeat("x", 101)}, {Role: "viewer", Expires: -1}} {
		if _, _, err := f.store.CreateKey(ctx, "a", n); api.AsError(err).Code != api.InvalidRequest {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if _, _, err := f.store.CreateKey(ctx, "nobody", access.NewKey{Role: "viewer"}); api.AsError(err).Code != api.NotFound {
		t.Errorf("a key for nobody: %v", err)
	}
	for _, tenant := range []string{"", "*", strings.Repeat("x", 65)} {
		if _, err := f.store.EnsureTenant(ctx, tenant); api.AsError(err).Code != api.InvalidRequest {
			t.Errorf("tenant %q: %v", tenant, err)
		}
	}
	minus := -1
	if err := f.store.Set(ctx, "a", access.Settings{KeyLimit: &minus}); api.AsError(err).Code != api.InvalidRequest {
		t.Errorf("%v", err)
	}
	if err := f.store.Set(ctx, "nobody", access.Settings{}); api.AsError(err).Code != api.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := access.NewSecrets(config.Config{Environment: "production"}); err == nil || !strings.Contains(err.Error(), "openssl") {
		t.Errorf("production without a master key: %v", err)
	}
}

// Development makes a master key once, of several processes too.
func TestDevelopmentKey(t *testing.T) {
	c := config.Config{Environment: "development", StateDir: filepath.Join(t.TempDir(), "state")}
	made := make(chan *access.Secrets, 8)
	for range cap(made) {
		go func() {
			s, err := access.NewSecrets(c)
			if err != nil {
				t.Error(err)
			}
			made <- s
		}()
	}
	first := <-made
	for range cap(made) - 1 {
		if s := <-made; !s.Signing.Equal(first.Signing) {
			t.Error("two keys")
		}
	}
}

// Deleting a tenant ends its keys.
func TestDelete(t *testing.T) {
	f := newFixture(t)
	a, _ := f.create(t, "a", "admin")
	b, _ := f.create(t, "b", "admin")
	if err := f.store.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	if f.code(a) != api.Unauthorized || f.code(b) != "" {
		t.Error(f.code(a), f.code(b))
	}
	if _, _, err := f.store.CreateKey(ctx, "a", access.NewKey{Role: "viewer"}); api.AsError(err).Code != api.NotFound {
		t.Errorf("a key for a deleted tenant: %v", err)
	}
}

func BenchmarkWho(b *testing.B) {
	f := newFixture(b)
	key, _ := f.create(b, "a", "operator")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.keys.Who(key); err != nil {
			b.Fatal(err)
		}
	}
}
