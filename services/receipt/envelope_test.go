package receipt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
)

// decision is a receipt as orchestration fills it in.
func decision(action string) *api.Receipt {
	return &api.Receipt{
		RequestID: "r", KeyID: "k", Content: api.ReceiptContent{Type: api.ContentText, Characters: 3, Digest: "hmac:x"},
		Policy:   api.ReceiptPolicy{Name: "default", Version: 2, Hash: "ab", FloorHash: "cd"},
		Evidence: json.RawMessage(`{"score": 0.7, "a": "<b>"}`), Judgment: json.RawMessage(`{"action": "` + action + `", "outcome": "SUCCESS"}`),
		Versions: api.ReceiptVersions{Orchestration: "1", Taxonomy: "2", Model: "m", Detectors: map[string]string{"pii": "1", "code": "2"}},
	}
}

// envelope is a signed receipt as it is sent, and its key.
func envelope(t testing.TB) ([]byte, ed25519.PrivateKey) {
	t.Helper()
	c := accesstest.Caller(t, "a")
	entries, err := Entries(c.Tenant, decision("block"))
	if err != nil {
		t.Fatal(err)
	}
	key := accesstest.Secrets(t).Signing
	raw, err := json.Marshal(Sign(key, entries[0].JSON))
	if err != nil {
		t.Fatal(err)
	}
	return raw, key
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// A bit that is flipped anywhere is seen, whatever it makes of the JSON.
func TestFlippedBit(t *testing.T) {
	raw, key := envelope(t)
	if _, err := Verify(raw, public(key)); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << bit
			if _, err := Verify(changed, public(key)); err == nil {
				t.Fatalf("byte %d, bit %d: it verifies: %s", i, bit, changed)
			}
		}
	}
}

// A receipt of a release that had no shadow on it verifies as it did; one that has, has it signed.
func TestShadow(t *testing.T) {
	_, key := envelope(t)
	with := decision("redact")
	with.Shadow = &api.ReceiptShadow{Policy: "next", Version: 3, Hash: "ef", Action: api.ActionBlock, Outcome: api.OutcomeSuccess}
	entries, err := Entries(accesstest.Caller(t, "a").Tenant, with)
	if err != nil {
		t.Fatal(err)
	}
	const older = `{"id":"0","kind":"decision","time":"2026-11-26T00:00:00Z","request_id":"r","item":0,"tenant_id":"a","key_id":"k","judgment":{"action":"block"},"redacted":0,"latency_ms":1,"fail_open":[]}`
	for payload, want := range map[string]*api.ReceiptShadow{older: nil, string(entries[0].JSON): with.Shadow} {
		raw, err := json.Marshal(Sign(key, []byte(payload)))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Verify(raw, public(key))
		var r api.Receipt
		if err != nil || string(e.Payload) != payload || json.Unmarshal(e.Payload, &r) != nil || !reflect.DeepEqual(r.Shadow, want) {
			t.Errorf("%s %v %+v", e.Payload, err, r.Shadow)
		}
	}
}

// An envelope that only was laid out anew verifies; any other is refused, and says why.
func TestVerify(t *testing.T) {
	raw, key := envelope(t)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	e, err := Verify(append(pretty.Bytes(), '\n'), public(key))
	if err != nil {
		t.Fatal(err)
	}
	var r api.Receipt
	if err := json.Unmarshal(e.Payload, &r); err != nil || r.TenantID != "a" || r.Policy.Version != 2 || string(r.Evidence) != `{"score":0.7,"a":"\u003cb\u003e"}` {
		t.Errorf("%s %v", e.Payload, err)
	}
	text := string(raw)
	payload := base64.StdEncoding.EncodeToString(e.Payload)
	signed := func(payload string) string {
		out, err := json.Marshal(Sign(key, []byte(payload)))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for name, c := range map[string]struct{ raw, want string }{
		"empty":            {"", "not an envelope"},
		"text":             {"receipt", "not an envelope"},
		"another object":   {"{}", "not written"},
		"two":              {text + text, "not an envelope"},
		"a field twice":    {strings.Replace(text, "{", `{"payloadType":"x",`, 1), "not written"},
		"a field more":     {strings.Replace(text, "{", `{"x":1,`, 1), "not written"},
		"a field's case":   {strings.Replace(text, `"payload"`, `"Payload"`, 1), "not written"},
		"a line in base64": {strings.Replace(text, payload, payload[:4]+`\n`+payload[4:], 1), "not written"},
		"no signature":     {text[:strings.Index(text, `"signatures":[`)+14] + "]}", "one signature"},
		"another type":     {strings.Replace(text, "receipt+json", "receipt+yaml", 1), "does not carry"},
		"another key's id": {strings.Replace(text, KeyID(public(key)), strings.Repeat("0", 64), 1), "not of this key"},
		"another payload":  {strings.Replace(text, payload, base64.StdEncoding.EncodeToString(bytes.Replace(e.Payload, []byte("block"), []byte("allow"), 1)), 1), "not of this key"},
		"signed text":      {signed("text"), "not a receipt"},
		"signed other":     {signed(`{"kind":"mapping"}`), "not a receipt"},
		"large":            {strings.Repeat(" ", MaxEnvelope+1), "larger"},
	} {
		if _, err := Verify([]byte(c.raw), public(key)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(raw, other); err == nil {
		t.Error("it verifies with another key")
	}
}

// The example of the DSSE specification's protocol.md, with our type in place of its own.
func TestEncoding(t *testing.T) {
	if got, want := string(encoding([]byte("hello world"))), "DSSEv1 41 application/vnd.llama-mapper.receipt+json 11 hello world"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever is not an envelope that was signed is refused without a panic.
func FuzzVerify(f *testing.F) {
	const payload = `{"kind":"decision","id":"x"}`
	key := accesstest.Secrets(f).Signing // the same in each of the fuzzer's processes
	raw, err := json.Marshal(Sign(key, []byte(payload)))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "{}", `{"payloadType":"x","payload":"eA==","signatures":[{"keyid":"","sig":""}]}`, `{"payload":null,"signatures":[null]}`, strings.Repeat("[", 1000)} {
		f.Add([]byte(seed))
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, err := Verify(in, public(key)); err == nil && string(got.Payload) != payload {
			t.Errorf("%s verifies", in)
		}
	})
}

// An id gives back its time; what is no id gives none.
func TestID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 1<<48*1000-1).Draw(t, "us")).UTC()
		id := newID(at)
		if got, ok := timeOf(id); !ok || !got.Equal(at) || id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) || len(id) != 36 {
			t.Fatalf("%s of %v gives %v", id, at, got)
		}
		if id == newID(at) {
			t.Fatal("two ids of one time are the same")
		}
	})
	const id = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
	if _, ok := timeOf(id); !ok {
		t.Error("a UUID of version 7 is no id")
	}
	for _, bad := range []string{"", "x", strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), id[:35], id + "0", id[:14] + "4" + id[15:], "{" + id + "}"} {
		if _, ok := timeOf(bad); ok {
			t.Errorf("%s is an id", bad)
		}
	}
}

// Nothing of the content is in a receipt: neither it, nor what a detector has quoted of it as a label.
func TestCanary(t *testing.T) {
	const canary = "canary-5417"
	v := accesstest.Caller(t, "a").Tenant
	known := func(detector, native string) bool { return detector == "pii" && native == "EMAIL_ADDRESS" }
	natives := []string{Native(v.Vault, known, "pii", "EMAIL_ADDRESS"), Native(v.Vault, known, "mine", "EMAIL_ADDRESS"), Native(v.Vault, known, "mine", canary), Native(v.Vault, known, "mine", strings.ToUpper(canary))}
	if natives[0] != "EMAIL_ADDRESS" || !strings.HasPrefix(natives[1], "hmac:") || natives[2] != natives[3] {
		t.Error(natives)
	}
	r := decision("flag")
	r.Content = Content(v.Vault, api.ContentText, "ü "+canary)
	evidence, err := json.Marshal(natives)
	if err != nil {
		t.Fatal(err)
	}
	r.Evidence = evidence
	entries, err := Entries(v, r)
	if err != nil || strings.Contains(strings.ToLower(string(entries[0].JSON)), canary) || r.Content.Characters != 13 {
		t.Errorf("%s %v", entries[0].JSON, err)
	}
	if other := accesstest.Caller(t, "b").Tenant; Content(other.Vault, api.ContentText, "x").Digest == Content(v.Vault, api.ContentText, "x").Digest {
		t.Error("two tenants' digests can be compared")
	}
}

// What cannot be kept is no receipt.
func TestEntriesRefuse(t *testing.T) {
	tenant := accesstest.Caller(t, "a").Tenant
	for name, evidence := range map[string]string{"too large": `"` + strings.Repeat("x", maxReceipt) + `"`, "broken": "{"} {
		r := decision("block")
		r.Evidence = json.RawMessage(evidence)
		if _, err := Entries(tenant, r); err == nil {
			t.Errorf("%s: it is a receipt", name)
		}
	}
}
