package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/receipt"
)

// A receipt is verified and shown from a file; a changed one is shown at most.
func TestReceipt(t *testing.T) {
	entries, err := receipt.Entries(accesstest.Caller(t, "acme").Tenant, &api.Receipt{Evidence: json.RawMessage("{}"), Judgment: json.RawMessage(`{"action":"block"}`)})
	if err != nil {
		t.Fatal(err)
	}
	signing := accesstest.Secrets(t).Signing
	key := base64.StdEncoding.EncodeToString(signing.Public().(ed25519.PublicKey))
	good := receipt.Sign(signing, entries[0].JSON)
	changed := good
	changed.Payload = []byte(strings.Replace(string(good.Payload), "block", "allow", 1))
	write := func(e api.Envelope) string {
		t.Helper()
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "receipt.json")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		args       []string
		want, fail string
	}{
		{[]string{"verify", write(good), "--key", key}, `"action": "block"`, ""},
		{[]string{"show", write(good)}, `"tenant_id": "acme"`, ""},
		{[]string{"show", write(changed)}, `"action": "allow"`, ""},
		{[]string{"verify", write(changed), "--key", key}, "", "NOT valid"},
		{[]string{"verify", write(good), "--key", base64.StdEncoding.EncodeToString(make([]byte, 32))}, "", "NOT valid"},
		{[]string{"verify", write(good), "--key", "x"}, "", "--key must be"},
		{[]string{"verify", write(good)}, "", "key"},
		{[]string{"verify", filepath.Join(t.TempDir(), "none"), "--key", key}, "", "no such file"},
		{[]string{"show", write(api.Envelope{})}, "", "does not carry"},
	} {
		out, err := ctl(append([]string{"receipt"}, c.args...)...)
		switch {
		case c.fail == "" && (err != nil || !strings.Contains(out, c.want)):
			t.Errorf("%v: %s %v", c.args, out, err)
		case c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)):
			t.Errorf("%v: %s %v, want %q", c.args, out, err, c.fail)
		}
	}
}
