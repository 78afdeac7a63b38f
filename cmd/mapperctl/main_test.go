//go:build llama

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/evaluation"
	"github.com/llama-mapper/llama-mapper/services/guard/guardtest"
)

const shipped = "../../checkpoints/mapper-tiny"

// mapperctl runs the command and returns what it printed.
func mapperctl(args ...string) (string, error) {
	c := command()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs(args)
	err := c.ExecuteContext(context.Background())
	return out.String(), err
}

func ok(t *testing.T, want string, args ...string) {
	t.Helper()
	if got, err := mapperctl(args...); err != nil || !strings.Contains(got, want) {
		t.Errorf("%v: %q, %v; want %q", args, got, err, want)
	}
}

func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	if _, err := mapperctl(args...); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: %v, want %q", args, err, want)
	}
}

// renamed copies the shipped checkpoint under another version.
func renamed(t *testing.T, version string) string {
	t.Helper()
	c, err := checkpoint.Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), version)
	if err := os.CopyFS(dir, os.DirFS(shipped)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "manifest.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(raw), "version: "+c.Version, "version: '"+version+"'", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEval(t *testing.T) {
	dir := t.TempDir()
	set, page, report := filepath.Join(dir, "mine.jsonl"), filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json")
	rows := `{"detector":"d","label":"credit card number","accept":["PII.Identifier.CreditCard"]}
{"detector":"d","label":"credit card number","accept":["OTHER.Spam"]}`
	if err := os.WriteFile(set, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "50.0 %", "checkpoint", "eval", shipped, "--set", set, "--html", page, "--json", report)
	raw, err := os.ReadFile(report)
	var r evaluation.Report
	if err != nil || json.Unmarshal(raw, &r) != nil || r.Overall.N != 2 || len(r.Agreements) != 1 {
		t.Errorf("%s %v", raw, err)
	}
	if info, err := os.Stat(page); err != nil || info.Size() == 0 {
		t.Error(info, err)
	}
	refused(t, "no such file", "checkpoint", "eval", shipped, "--set", filepath.Join(dir, "absent.jsonl"))
	refused(t, "manifest.yaml", "checkpoint", "eval", dir, "--set", set)
}

// Versions without a service: what is activated is what the next start takes.
func TestVersions(t *testing.T) {
	store := "--store=" + filepath.Join(t.TempDir(), "store")
	ok(t, "verified", "checkpoint", "verify", shipped)
	refused(t, "no earlier version", "checkpoint", "rollback", store)
	ok(t, "active: mapper-tiny@1 ", "checkpoint", "activate", renamed(t, "1"), store)
	ok(t, "active: mapper-tiny@2 ", "checkpoint", "activate", renamed(t, "2"), store)
	ok(t, "active: mapper-tiny@1 ", "checkpoint", "rollback", store)
	ok(t, "active: mapper-tiny@2 ", "checkpoint", "activate", "mapper-tiny@2", store)
	ok(t, "mapper-tiny@2\tactive", "checkpoint", "list", store)
	ok(t, "rollback", "checkpoint", "history", store)
	refused(t, "no service", "checkpoint", "canary", "mapper-tiny@1", store)
	broken := renamed(t, "3")
	if err := os.Truncate(filepath.Join(broken, "base-f16.gguf"), 1000); err != nil {
		t.Fatal(err)
	}
	refused(t, "base-f16.gguf", "checkpoint", "activate", broken, store)
	ok(t, "mapper-tiny@2\tactive", "checkpoint", "list", store)
}

func TestQuantise(t *testing.T) {
	to := filepath.Join(t.TempDir(), "small")
	ok(t, "answers its golden rows", "checkpoint", "quantise", shipped, to)
	was, err := checkpoint.Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	is, err := checkpoint.Open(to)
	if err != nil || is.Version != was.Version+"-q8_0" || is.Base.Bytes >= was.Base.Bytes*2/3 {
		t.Errorf("%v %v", is, err)
	}
	refused(t, "exists", "checkpoint", "quantise", shipped, to)
	refused(t, "is not one of", "checkpoint", "quantise", shipped, to+"2", "--type", "q1")
}

// A guard's directory is verified and quantised like any other, and does not become what maps.
func TestGuard(t *testing.T) {
	dir := guardtest.Dir(t)
	ok(t, "llama-guard-3@1: 1 file verified, loads, and has 470 verdicts", "checkpoint", "verify", dir)
	ok(t, "llama-guard-3@1-q8_0: 1 file verified", "checkpoint", "quantise", dir, filepath.Join(t.TempDir(), "small"))
	refused(t, "it is a guard", "checkpoint", "activate", dir, "--store="+filepath.Join(t.TempDir(), "store"))
	if err := os.Truncate(filepath.Join(dir, "base-f16.gguf"), 1000); err != nil {
		t.Fatal(err)
	}
	refused(t, "base-f16.gguf has 1000 bytes", "checkpoint", "verify", dir)
}
