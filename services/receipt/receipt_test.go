package receipt_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
	"github.com/llama-mapper/llama-mapper/services/receipt"
)

var ctx = context.Background()

// fixture is a service that has receipts and nothing else.
type fixture struct {
	processtest.Service
	receipts *receipt.Service
	log      *audit.Log
	pool     *pgxpool.Pool
	keys     map[string]string // by tenant
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f, store := &fixture{keys: map[string]string{}}, processtest.Store(t)
	for _, tenant := range []string{"a", "b"} {
		f.keys[tenant] = processtest.Key(t, store, tenant, "viewer")
	}
	f.Service = processtest.Serve(t, "orchestration", func(p *process.Process) (err error) {
		if f.pool, err = postgres.Open(p.Config.DatabaseOf("orchestration"), "orchestration", p.Metrics); err != nil {
			return err
		}
		p.OnEnd(func(context.Context) error { f.pool.Close(); return nil })
		j, err := journal.Open(filepath.Join(p.Config.StateDir, "journal"), 1<<26)
		if err != nil {
			return err
		}
		p.OnEnd(func(context.Context) error { return j.Close() })
		f.log = audit.NewLog(j)
		p.Go(audit.NewWriter(f.log, f.pool, p.Log, p.Metrics).Run)
		f.receipts = receipt.New(f.log, audit.NewFeed(f.pool), p.Secrets.Signing, policies)
		f.receipts.Register(p.Router)
		return nil
	})
	return f
}

// policies are versions of one policy: what the evidence's score must exceed, in tenths, for the action block.
func policies(_ context.Context, t *access.Tenant, name string, version int) (receipt.Policy, error) {
	if name != "default" || version > 10 {
		return receipt.Policy{}, api.Errorf(api.NotFound, "there is no such policy")
	}
	if version == 0 {
		version = 9
	}
	return receipt.Policy{
		ReceiptPolicy: api.ReceiptPolicy{Name: name, Version: version, Hash: fmt.Sprint(version), FloorHash: t.ID},
		Judge:         func(evidence json.RawMessage) (json.RawMessage, error) { return judge(evidence, version) },
	}, nil
}

func judge(evidence json.RawMessage, version int) (json.RawMessage, error) {
	var e struct{ Score float64 }
	if err := json.Unmarshal(evidence, &e); err != nil {
		return nil, err
	}
	action := "allow"
	if e.Score*10 > float64(version) {
		action = "block"
	}
	return json.RawMessage(fmt.Sprintf(`{"action":%q,"outcome":"SUCCESS","labels":[]}`, action)), nil
}

// keep has decisions of version 5 about scores in Postgres, and returns their ids.
func (f *fixture) keep(t *testing.T, tenant string, scores ...float64) (ids []string) {
	t.Helper()
	owner := f.tenant(t, tenant)
	all := make([]*api.Receipt, len(scores))
	for i, score := range scores {
		evidence := json.RawMessage(fmt.Sprintf(`{"score":%v}`, score))
		judgment, err := judge(evidence, 5)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = &api.Receipt{
			RequestID: fmt.Sprint("r", i), KeyID: "k", Item: i, Content: receipt.Content(owner.Vault, api.ContentText, "secret text"),
			Policy: api.ReceiptPolicy{Name: "default", Version: 5, Hash: "5", FloorHash: "a"}, Evidence: evidence, Judgment: judgment,
		}
	}
	if err := f.receipts.Keep(ctx, owner, all...); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	processtest.Until(t, "in Postgres", func() bool {
		_, err := f.receipts.Get(ctx, owner, ids[len(ids)-1])
		return err == nil
	})
	return ids
}

func (f *fixture) tenant(t *testing.T, id string) *access.Tenant {
	t.Helper()
	tenant, err := f.Keys.Tenant(id)
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

// A receipt is fetched by its id, by its tenant only, and verifies with the key that is published and the audit's.
func TestGet(t *testing.T) {
	f := newFixture(t)
	ids := f.keep(t, "a", 0.7, 0.2)
	var key api.ReceiptKey
	if status := f.Do(t, http.MethodGet, "/api/v1/receipts/key", f.keys["a"], "", &key); status != 200 || key.KeyID != receipt.KeyID(key.PublicKey) || !bytes.Equal(key.PublicKey, f.Secrets.Signing.Public().(ed25519.PublicKey)) {
		t.Fatal(status, key)
	}
	for i, id := range ids {
		var raw json.RawMessage
		if status := f.Do(t, http.MethodGet, "/api/v1/receipts/"+id, f.keys["a"], "", &raw); status != 200 {
			t.Fatal(status, string(raw))
		}
		e, err := receipt.Verify(raw, key.PublicKey)
		var r api.Receipt
		if err := errors.Join(err, json.Unmarshal(e.Payload, &r)); err != nil || r.ID != id || r.Item != i || r.TenantID != "a" || r.Kind != api.EventDecision {
			t.Errorf("%+v %v", r, err)
		}
		if strings.Contains(string(e.Payload), "secret") {
			t.Errorf("content in %s", e.Payload)
		}
	}
	for _, path := range []string{ids[0][:35] + "x", "x", "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"} {
		var e api.Error
		if status := f.Do(t, http.MethodGet, "/api/v1/receipts/"+path, f.keys["a"], "", &e); status != 404 || !strings.Contains(e.Message, "a moment") {
			t.Errorf("%s: %d %+v", path, status, e)
		}
	}
	for _, path := range []string{"GET /api/v1/receipts/" + ids[0], "POST /api/v1/receipts/" + ids[0] + "/replay"} {
		method, path, _ := strings.Cut(path, " ")
		if status := f.Do(t, method, path, f.keys["b"], "", nil); status != 404 {
			t.Errorf("%s %s by another tenant: %d", method, path, status)
		}
		if status := f.Do(t, method, path, "", "", nil); status != 401 {
			t.Errorf("%s %s without a key: %d", method, path, status)
		}
	}
}

// The feed has decisions only, in order, page by page; all of them are in the chain that the audit exports.
func TestList(t *testing.T) {
	f := newFixture(t)
	ids := f.keep(t, "a", 0.1, 0.2)
	other := audit.Entry{JSON: []byte(`{"kind":"other"}`)}
	if err := f.log.Keep(ctx, f.tenant(t, "a"), []audit.Entry{other}); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, f.keep(t, "a", 0.3)...)
	var got []string
	for after, pages := "", 0; pages < 10; pages++ {
		var page api.ReceiptsResponse
		if status := f.Do(t, http.MethodGet, "/api/v1/receipts?limit=1&after="+after, f.keys["a"], "", &page); status != 200 {
			t.Fatal(status)
		}
		for _, raw := range page.Receipts {
			var r struct {
				Seq int64
				api.Receipt
			}
			if err := json.Unmarshal(raw, &r); err != nil || api.Cursor(r.Seq) != page.Next {
				t.Errorf("%s %v", raw, err)
			}
			got = append(got, r.ID)
		}
		after = page.Next
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("%v, want %v", got, ids)
	}
	var export bytes.Buffer
	if err := audit.NewFeed(f.pool).Export(ctx, f.tenant(t, "a"), func(l audit.Line) error { return json.NewEncoder(&export).Encode(l) }); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(&export, f.Secrets.Signing.Public().(ed25519.PublicKey)); err != nil || r.Opened != 4 {
		t.Errorf("%+v %v", r, err)
	}
	var empty api.ReceiptsResponse
	if status := f.Do(t, http.MethodGet, "/api/v1/receipts", f.keys["b"], "", &empty); status != 200 || len(empty.Receipts) != 0 || empty.Receipts == nil {
		t.Errorf("%d %+v", status, empty)
	}
	for _, query := range []string{"limit=0", "limit=201", "after=x", "after=-1"} {
		if status := f.Do(t, http.MethodGet, "/api/v1/receipts?"+query, f.keys["a"], "", nil); status != 400 {
			t.Errorf("%s: %d", query, status)
		}
	}
}

// A decision is judged again by another version, and by the one that made it with the same result.
func TestReplay(t *testing.T) {
	f := newFixture(t)
	id := f.keep(t, "a", 0.7)[0]
	for body, want := range map[string]string{
		`{"version":5}`:                     "5 block [] default@5",
		`{"version":6}`:                     "5 block [] default@6",
		`{"version":8}`:                     "5 allow [action] default@8",
		``:                                  "5 allow [action] default@9",
		`{"policy":"default","version":10}`: "5 allow [action] default@10",
	} {
		var r api.ReplayResponse
		status := f.Do(t, http.MethodPost, "/api/v1/receipts/"+id+"/replay", f.keys["a"], body, &r)
		var now struct{ Action string }
		if status != 200 || json.Unmarshal(r.Now.Judgment, &now) != nil || r.ReceiptID != id || r.Now.Policy.FloorHash != "a" {
			t.Fatalf("%s: %d %+v", body, status, r)
		}
		if got := fmt.Sprintf("%d %s %v %s@%d", r.Then.Policy.Version, now.Action, r.Changed, r.Now.Policy.Name, r.Now.Policy.Version); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for body, want := range map[string]int{
		`{"policy":"none"}`: 404, `{"version":11}`: 404, `{"version":-1}`: 400, `{"policy":"` + strings.Repeat("x", 65) + `"}`: 400, `{"x":1}`: 400, `[]`: 400,
	} {
		if status := f.Do(t, http.MethodPost, "/api/v1/receipts/"+id+"/replay", f.keys["a"], body, nil); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
}

// Many decisions are counted by what they were and what they would be.
func TestReplayRange(t *testing.T) {
	f := newFixture(t)
	var scores []float64
	for i := range 1200 { // 240 each of 0.1, 0.3, 0.5, 0.7, 0.9
		scores = append(scores, []float64{0.1, 0.3, 0.55, 0.7, 0.95}[i%5])
	}
	ids := f.keep(t, "a", scores...)
	f.keep(t, "b", 0.55)
	ask := func(body string) (r api.ReplayRangeResponse) {
		t.Helper()
		if status := f.Do(t, http.MethodPost, "/api/v1/replay", f.keys["a"], body, &r); status != 200 {
			t.Fatalf("%s: %d", body, status)
		}
		return r
	}
	counts, judged, first := map[string]int{}, 0, ""
	for after := ""; ; {
		r := ask(`{"policy":"default","version":6,"after":"` + after + `"}`)
		for _, a := range r.Actions {
			counts[string(a.Then+" "+a.Now)] += a.Count
		}
		if first == "" {
			first = r.Changed[0]
		}
		judged += r.Judged
		if r.Next == after {
			break
		}
		after = r.Next
	}
	if fmt.Sprint(counts) != "map[allow allow:480 block allow:240 block block:480]" || judged != 1200 || first != ids[2] {
		t.Errorf("%v of %d, first %s", counts, judged, first)
	}
	r := ask(`{"policy":"default","version":2,"after":"5","limit":7}`)
	got := fmt.Sprintf("%v %v %d %s %d", r.Actions, r.Changed, r.Judged, r.Next, r.Policy.Version)
	if want := fmt.Sprintf("[{allow allow 2} {allow block 2} {block block 3}] [%s %s] 7 12 2", ids[6], ids[11]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if b := r.Blocks; b.OnlyThen != 0 || b.OnlyNow != 2 || b.P != 0.5 || b.Delta < 0.28 || b.Delta > 0.29 || b.Low > 0 || b.High < b.Delta {
		t.Errorf("%+v", b)
	}
	if r := ask(`{"policy":"default","version":6,"limit":600}`); len(r.Changed) > api.MaxMoved {
		t.Errorf("%d ids", len(r.Changed))
	}
	for body, want := range map[string]int{
		``: 400, `{}`: 400, `{"policy":"none"}`: 404, `{"policy":"default","limit":10001}`: 400, `{"policy":"default","limit":-1}`: 400,
		`{"policy":"default","version":-1}`: 400, `{"policy":"default","after":"x"}`: 400, `{"policy":"` + strings.Repeat("x", 65) + `"}`: 400,
	} {
		if status := f.Do(t, http.MethodPost, "/api/v1/replay", f.keys["a"], body, nil); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
}

// A receipt may be part of a transaction, and is there if and only if that commits.
func TestTransaction(t *testing.T) {
	f := newFixture(t)
	tenant, undone := f.tenant(t, "a"), errors.New("undone")
	for _, end := range []error{undone, nil} {
		r := &api.Receipt{Evidence: json.RawMessage("{}"), Judgment: json.RawMessage("{}")}
		err := postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
			entries, err := receipt.Entries(tenant, r)
			return errors.Join(err, audit.Append(ctx, tx, tenant, entries), end)
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		if _, err := f.receipts.Get(ctx, tenant, r.ID); (err == nil) != (end == nil) {
			t.Errorf("ended with %v: %v", end, err)
		}
	}
}

// The tenant's receipts cannot be read once it is deleted; nothing of one is in Postgres in clear.
func TestSealed(t *testing.T) {
	f := newFixture(t)
	id := f.keep(t, "a", 0.5)[0]
	var text string
	err := postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT string_agg(encode(sealed || leaf, 'escape') || e::text, '') FROM events e").Scan(&text)
	})
	if err != nil || text == "" || strings.Contains(text, id) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(id))) {
		t.Errorf("%q %v", text, err)
	}
	gone := *f.tenant(t, "a")
	gone.Vault = access.Vault{}
	if _, err := f.receipts.Get(ctx, &gone, id); !errors.Is(err, access.ErrShredded) {
		t.Error(err)
	}
}
