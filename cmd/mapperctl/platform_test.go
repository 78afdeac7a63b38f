package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// ctl runs the program and returns what it prints.
func ctl(args ...string) (string, error) {
	var out bytes.Buffer
	c := command()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(context.Background())
	return strings.TrimSpace(out.String()), err
}

// An operator's first day: schemas, a tenant with a key, its limits, a rotation, the audit, the end of the tenant.
func TestOperate(t *testing.T) {
	processtest.Environment(t, postgrestest.New(t))
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := ctl(args...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v: %v, no %q in\n%s", args, err, want, out)
		}
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := ctl(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, no %q; printed %s", args, err, want, out)
		}
	}
	must("00001_events.sql\tmissing", "migrate", "status", "mapper")
	must("steps applied", "migrate", "up", "all")
	must("", "migrate", "down", "mapper")
	must("mapper: 1 steps applied", "migrate", "up", "mapper")
	refused("no schema", "migrate", "up", "billing")

	out := must("made the tenant acme", "keys", "create", "--tenant", "acme", "--role", "admin", "--name", "first")
	key := out[strings.LastIndex(out, "\n")+1:]
	id := strings.Split(key, "_")[1]
	if !strings.HasPrefix(key, "lm_") {
		t.Fatal(out)
	}
	if list := must(id, "keys", "list", "--tenant", "acme"); strings.Contains(list, key) || !strings.Contains(list, "valid") {
		t.Error(list)
	}
	must("lm_", "keys", "rotate", "--tenant", "acme", "--grace", "1h", id)
	must("until", "keys", "list", "--tenant", "acme")
	must("", "keys", "revoke", "--tenant", "acme", id)
	refused("no such key", "keys", "revoke", "--tenant", "acme", id)
	refused("role must be", "keys", "create", "--tenant", "acme", "--role", "owner")
	must("", "tenants", "set", "acme", "--key-limit", "10")
	refused("no such tenant", "tenants", "set", "nobody")
	must("****", "config", "print")

	record(t, "acme")
	public, file := must("=", "audit", "key"), filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, []byte(must("acme", "audit", "export", "acme")), 0o600); err != nil {
		t.Fatal(err)
	}
	must("valid: tenant acme, events 1 to 1, 1 of them readable; 0 signed heads", "audit", "verify", file, "--key", public)
	must(`"tenant":"acme","seq":0`, "audit", "export", "acme", "--service", "orchestration")
	refused("mapper or orchestration", "audit", "export", "acme", "--service", "analysis")
	refused("--key must be", "audit", "verify", file, "--key", "x")
	remapped(t, file, must, refused)
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("NOT valid", "audit", "verify", file, "--key", public)
	refused("no such tenant", "audit", "export", "nobody")
	refused("--yes", "tenants", "delete", "acme")
	must("", "tenants", "delete", "acme", "--yes")
	must("revoked", "keys", "list", "--tenant", "acme")
}

// remapped maps acme's history again, from Postgres and from an export.
func remapped(t *testing.T, file string, must func(string, ...string) string, refused func(string, ...string)) {
	t.Helper()
	out := must("1 mappings; findings: 0 unchanged, 1 changed; cannot tell: 1 of the model's, 0 of rows", "remap", "acme")
	if again := must("PII.Identifier.SSN", "remap", "acme", "--export", file); again != out {
		t.Errorf("%s\nfrom an export: %s", out, again)
	}
	changes := filepath.Join(t.TempDir(), "changes")
	must("1 changed", "remap", "acme", "--tables", "config/detectors", "--out", changes)
	if raw, err := os.ReadFile(changes); err != nil || !strings.Contains(string(raw), `{"seq":1,"time":`) {
		t.Errorf("%s, %v", raw, err)
	}
	refused("no tables", "remap", "acme", "--tables", t.TempDir())
	must("made the tenant other", "keys", "create", "--tenant", "other", "--role", "viewer")
	refused("of another tenant", "remap", "other", "--export", file)
}

// record has one event of a tenant in Postgres.
func record(t *testing.T, tenant string) {
	t.Helper()
	ctx := context.Background()
	s := settings{path: "config/development.yaml"}
	err := s.withFeed(ctx, "mapper", tenant, func(feed *audit.Feed, owner *access.Tenant) error {
		j, err := journal.Open(t.TempDir(), 1<<20)
		if err != nil {
			return err
		}
		defer j.Close()
		log := audit.NewLog(j)
		if err := log.Record(ctx, owner, []api.Event{{RequestID: "r", Kind: api.EventMapping, Detector: "presidio", Findings: []api.EventFinding{
			{Native: "US_SSN", Labels: []string{"PII.Other"}, Source: api.SourceTable, Table: "presidio@0"},
			{Native: "hmac:x", Labels: []string{"PII.Other"}, Source: api.SourceModel},
		}}}); err != nil {
			return err
		}
		_, pool, err := s.pool("mapper")
		if err != nil {
			return err
		}
		defer pool.Close()
		run, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			audit.NewWriter(log, pool, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Run(run)
		}()
		for {
			if page, err := feed.Events(ctx, owner, 0, 1); err != nil || len(page.Events) == 1 {
				stop()
				<-done
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Settings that cannot be are told by every command.
func TestWrongSettings(t *testing.T) {
	for _, args := range [][]string{{"config", "print"}, {"keys", "list", "--tenant", "x"}, {"migrate", "up", "all"}, {"audit", "key"}} {
		if _, err := ctl(append(args, "--config", "absent.yaml")...); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// The tables that ship are clean, and a directory with a mistake is not.
func TestTablesLint(t *testing.T) {
	if out, err := ctl("tables", "lint"); err != nil || out != "" {
		t.Errorf("%s %v", out, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte("detector: x\nversion: '1'\ntaxonomy: '2026.11'\nmaps: {a: [NO.Label]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := ctl("tables", "lint", dir); err == nil || !strings.Contains(out, "NO.Label") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := ctl("tables", "lint", "--sarif", dir); err == nil || !strings.Contains(out, `"2.1.0"`) {
		t.Errorf("%s %v", out, err)
	}
}
