package orchestration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/receipt"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// scripted is a detector that does what it is told.
type scripted struct {
	name   string
	label  string // "" finds nothing
	takes  api.ContentType
	fail   error
	sleeps time.Duration
	at     [2]int   // where it finds that; all of the content if it does not say
	score  *float64 // nil names it only
}

func (d scripted) Name() string                 { return d.name }
func (scripted) Version() string                { return "1" }
func (d scripted) Takes(t api.ContentType) bool { return d.takes == "" || d.takes == t }
func (scripted) Covers() []string               { return []string{"PII"} }
func (scripted) Window() int                    { return 0 }
func (d scripted) Ask(ctx context.Context, in detect.Input) (wire.Output, error) {
	select {
	case <-time.After(d.sleeps):
	case <-ctx.Done():
		return wire.Output{}, ctx.Err()
	}
	if d.label == "" || d.fail != nil {
		return wire.Output{Vendor: "own", Findings: []wire.Finding{{Native: "clean", Clean: true}}}, d.fail
	}
	at := d.at
	if at == [2]int{} {
		at[1] = len(in.Content)
	}
	return wire.Output{Vendor: "own", Findings: []wire.Finding{{Native: d.label, Score: d.score, Spans: []wire.Span{{Byte: &at, Rune: &at}}}}}, nil
}

// one is a registry with policies and nothing else.
type one map[string]string

func (one) Detectors(string) []*registry.Registered { return nil }
func (o one) Policy(_, name string) (*policy.Policy, int, error) {
	if o[name] == "" {
		return nil, 0, api.Errorf(api.NotFound, "no such policy")
	}
	p, err := policy.Parse([]byte(o[name]))
	return p, 1, err
}

// kept has receipts in memory.
type kept struct {
	mu   sync.Mutex
	all  []*api.Receipt
	full bool
}

func (k *kept) Keep(_ context.Context, _ *access.Tenant, receipts ...*api.Receipt) error {
	if k.full {
		return api.Errorf(api.Unavailable, "full")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, receipts...)
	return nil
}

// fixture is a service of scripted detectors with a mapper that calls everything an e-mail address.
func fixture(t testing.TB, policies one, detectors ...detect.Source) (*Service, *kept) {
	t.Helper()
	mapper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req api.MapBatchRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		out := api.MapBatchResponse{}
		for range req.Requests {
			f := api.Finding{Labels: []string{"PII.Contact.Email"}, Source: api.SourceTable, Confidence: 1}
			out.Results = append(out.Results, api.BatchResult{Mapping: &api.Mapping{Provenance: api.Provenance{Findings: []api.Finding{f}}, Controls: []string{"gdpr/5"}}})
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(mapper.Close)
	reg, records := prometheus.NewRegistry(), &kept{}
	s, err := New(Parts{
		Builtin: detectors, Registry: policies, Pool: fanout.New(fanout.Options{}, reg), Labeller: NewLabeller(mapper.URL, accesstest.Secrets(t)), Recorder: records,
		Spells: func(string) bool { return false },
	}, Options{InFlight: 1}, reg)
	if err != nil {
		t.Fatal(err)
	}
	return s, records
}

func ask(t *testing.T, s *Service, req api.OrchestrateRequest) *Answer {
	t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	if req, err = api.ParseOrchestrateRequest(body, "a"); err != nil {
		t.Fatal(err)
	}
	a, err := s.Orchestrate(context.Background(), accesstest.Caller(t, "a"), "id", req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What a detector does shows in the decision as the policy says, and a failure is never clean.
func TestDecisions(t *testing.T) {
	broken := &detect.Failure{Status: api.StatusError, Reason: "5xx"}
	for name, c := range map[string]struct {
		detector scripted
		rule     string
		decision api.Action
		outcome  api.Outcome
		status   int
	}{
		"clean":            {scripted{}, "{mode: required}", api.ActionAllow, api.OutcomeSuccess, 200},
		"found":            {scripted{label: "X"}, "{mode: required}", api.ActionRedact, api.OutcomeSuccess, 200},
		"found in shadow":  {scripted{label: "X"}, "{mode: shadow}", api.ActionAllow, api.OutcomeSuccess, 200},
		"fails, blocks":    {scripted{fail: broken}, "{mode: required, on_error: block}", api.ActionBlock, api.OutcomePartial, 206},
		"fails, reviewed":  {scripted{fail: broken}, "{mode: required, on_error: review}", api.ActionReview, api.OutcomePartial, 206},
		"fails open":       {scripted{fail: broken}, "{mode: required, on_error: allow}", api.ActionUnverified, api.OutcomePartial, 206},
		"optional fails":   {scripted{fail: broken}, "{mode: optional, on_error: allow}", api.ActionAllow, api.OutcomePartial, 200},
		"too slow":         {scripted{sleeps: time.Hour}, "{mode: required, on_error: block, timeout_ms: 20}", api.ActionBlock, api.OutcomePartial, 206},
		"breaks its word":  {scripted{fail: errors.New("bug")}, "{mode: required, on_error: block}", api.ActionBlock, api.OutcomePartial, 206},
		"takes no text":    {scripted{takes: api.ContentImage}, "{mode: required, on_error: block}", api.ActionBlock, api.OutcomePartial, 206},
		"is not there":     {scripted{name: "another"}, "{mode: required, on_error: review}", api.ActionReview, api.OutcomePartial, 206},
		"is not asked":     {scripted{}, "{mode: required, content_types: [code]}", api.ActionAllow, api.OutcomeSuccess, 200},
		"is hanging, open": {scripted{sleeps: time.Hour}, "{mode: optional, on_error: allow, timeout_ms: 20}", api.ActionAllow, api.OutcomePartial, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if c.detector.name == "" {
				c.detector.name = "d"
			}
			text := "name: default\ncoverage: {method: REQUIRED_SET, minimum: 0.8}\ndetectors: {sound: {mode: required}, d: " + c.rule + "}\nrules: [{labels: ['PII.*'], action: redact}]\n"
			s, records := fixture(t, one{"default": text}, scripted{name: "sound"}, c.detector)
			a := ask(t, s, api.OrchestrateRequest{Content: "jane@example.com", Redact: true})
			if a.Decision != c.decision || a.Outcome != c.outcome || a.status() != c.status {
				t.Errorf("%s %s %d, want %s %s %d: %+v", a.Decision, a.Outcome, a.status(), c.decision, c.outcome, c.status, a.Reasons)
			}
			if redacted := *a.Redacted == "[PII.Contact.Email]"; redacted != (c.decision == api.ActionRedact) {
				t.Error(*a.Redacted)
			}
			raw, err := json.Marshal(records.all)
			if err != nil || len(records.all) != 1 || strings.Contains(string(raw), "jane") {
				t.Errorf("%s %v", raw, err)
			}
		})
	}
}

// Places that overlap are one span of all who count, and it is what goes from the content.
func TestSpans(t *testing.T) {
	const text = "name: default\ndetectors: {a: {mode: required}, b: {mode: required}, c: {mode: required}, d: {mode: required, threshold: 0.6}, e: {mode: shadow}}\nrules: [{labels: ['PII.*'], action: redact}]\n"
	low, high := 0.55, 0.9
	s, _ := fixture(t, one{"default": text}, scripted{name: "a", label: "X", at: [2]int{0, 5}, score: &low}, scripted{name: "b", label: "Y", at: [2]int{3, 8}, score: &high},
		scripted{name: "c", label: "X", at: [2]int{9, 10}}, scripted{name: "d", label: "X", at: [2]int{8, 9}, score: &low}, scripted{name: "e", label: "X", at: [2]int{11, 12}})
	a := ask(t, s, api.OrchestrateRequest{Content: "0123456789abcdef", Redact: true})
	const email = "PII.Contact.Email"
	want := []Span{{email, Place{Start: 0, End: 8, ByteStart: 0, ByteEnd: 8}, high, []string{"a", "b"}}, {email, Place{Start: 9, End: 10, ByteStart: 9, ByteEnd: 10}, 1, []string{"c"}}}
	if !reflect.DeepEqual(a.Spans, want) || *a.Redacted != "["+email+"]8["+email+"]abcdef" || a.Redactions != 2 {
		t.Errorf("%+v %s", a.Spans, *a.Redacted)
	}
	s.Labeller = NewLabeller("http://127.0.0.1:1", accesstest.Secrets(t))
	a = ask(t, s, api.OrchestrateRequest{Content: "0123456789abcdef", Redact: true})
	if *a.Redacted != "[X]8[X]abcdef" || len(a.Spans) != 3 || a.Spans[1].Label != "Y" {
		t.Errorf("%+v %s", a.Spans, *a.Redacted)
	}
	over := strings.Replace(text, "name: default\n", "name: default\nconflict: {text: tenant_preference}\nprefer: [d]\n", 1)
	s, _ = fixture(t, one{"default": over}, scripted{name: "a", label: "X", score: &high}, scripted{name: "d", label: "X", score: &low})
	if a = ask(t, s, api.OrchestrateRequest{Content: "x", Redact: true}); len(a.Spans) != 0 || a.Spans == nil || *a.Redacted != "x" || a.Labels[0].Holds {
		t.Errorf("%+v", a)
	}
}

// A policy that a request names is applied beside the floor, and what a caller asks for can only add.
func TestFloor(t *testing.T) {
	const floor = "name: default\ndetectors: {d: {mode: required}}\nrules: [{labels: ['PII.*'], action: block}]\n"
	s, _ := fixture(t, one{"default": floor, "mild": "name: mild\ndetectors: {}\nrules: [{labels: ['*'], action: allow}]\n"}, scripted{name: "d", label: "X"}, scripted{name: "e"})
	a := ask(t, s, api.OrchestrateRequest{Content: "x", Policy: "mild", Excluded: []string{"d"}, Required: []string{"e"}})
	if a.Decision != api.ActionBlock || a.Attempted != 2 || len(a.Notes) == 0 || a.Policy.Name != "mild" || a.Policy.Hash == a.Policy.FloorHash {
		t.Errorf("%+v", a)
	}
}

// What the shadow policy would have decided is in the answer and on the receipt, from which the two can be compared.
func TestShadow(t *testing.T) {
	const live = "name: default\nshadow: {policy: strict}\ndetectors: {d: {mode: required}}\nrules: [{labels: ['PII.*'], action: redact}]\n"
	s, records := fixture(t, one{"default": live, "strict": strings.NewReplacer("default", "strict", "shadow: {policy: strict}\n", "", "redact", "block").Replace(live)}, scripted{name: "d", label: "X"})
	a := ask(t, s, api.OrchestrateRequest{Content: "x"})
	strict, _, err := s.Registry.Policy("a", "strict")
	if err != nil {
		t.Fatal(err)
	}
	want := api.ReceiptShadow{Policy: "strict", Version: 1, Hash: strict.Hash(), Action: api.ActionBlock, Outcome: api.OutcomeSuccess}
	if got := records.all[0].Shadow; got == nil || *got != want || a.Decision != api.ActionRedact || a.Shadow.Decision != api.ActionBlock || a.Shadow.Hash != want.Hash {
		t.Fatalf("%+v %+v", got, a)
	}
	var compared policy.Comparison
	for _, r := range records.all {
		var then policy.Judgment
		if err := json.Unmarshal(r.Judgment, &then); err != nil {
			t.Fatal(err)
		}
		compared.Add(then.Action, r.Shadow.Action, 1)
	}
	if d := compared.Difference(); d.Stricter != 1 || d.OnlyShadow != 1 {
		t.Errorf("%+v", d)
	}
	delete(s.Registry.(one), "strict")
	if a := ask(t, s, api.OrchestrateRequest{Content: "x"}); a.Shadow != nil || records.all[1].Shadow != nil || len(a.Notes) != 1 {
		t.Errorf("%+v", a)
	}
}

// flooding is a detector that finds more than a receipt has room for.
type flooding struct{ scripted }

func (d flooding) Ask(context.Context, detect.Input) (wire.Output, error) {
	out := wire.Output{Vendor: "own"}
	for i := range 40_000 {
		out.Findings = append(out.Findings, wire.Finding{Native: fmt.Sprint("label ", i)})
	}
	return out, nil
}

// A detector that floods makes no request fail: its receipt says how much was left out.
func TestFlood(t *testing.T) {
	s, records := fixture(t, one{"default": "name: default\ndetectors: {d: {mode: required}}\n"}, flooding{scripted{name: "d"}})
	a := ask(t, s, api.OrchestrateRequest{Content: "x"})
	if _, err := receipt.Entries(accesstest.Caller(t, "a").Tenant, records.all...); err != nil {
		t.Fatal(err)
	}
	var e policy.Evidence
	if err := json.Unmarshal(records.all[0].Evidence, &e); err != nil {
		t.Fatal(err)
	}
	d := e.Detectors[0]
	if len(a.Detectors[0].Findings) != 40_000 || d.LeftOut == 0 || len(d.Findings)+d.LeftOut != 40_000 || len(a.NotChecked) != 1 {
		t.Errorf("%d left out, %d kept, %+v", d.LeftOut, len(d.Findings), a.NotChecked)
	}
	p, _, err := s.Registry.Policy("a", "default")
	if err != nil {
		t.Fatal(err)
	}
	want := policy.NotChecked{What: "findings", Detector: "d", Reason: "left_out", Count: d.LeftOut}
	if j := p.Judge(e); j.Action != a.Decision || !slices.Contains(j.NotChecked, want) {
		t.Errorf("%s %+v", j.Action, j.NotChecked)
	}
}

// Nothing is answered that is not on record, and no more is worked on than there is room for.
func TestBounds(t *testing.T) {
	s, records := fixture(t, one{"default": "name: default\ndetectors: {d: {mode: required}}\n"}, scripted{name: "d"})
	records.full = true
	req, err := api.ParseOrchestrateRequest([]byte(`{"content":"x"}`), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Orchestrate(context.Background(), accesstest.Caller(t, "a"), "id", req); api.AsError(err).Code != api.Unavailable {
		t.Error(err)
	}
	s.working <- struct{}{}
	if err := s.admit(nil)(nil); api.AsError(err).Code != api.Overloaded || api.AsError(err).RetryAfter == 0 {
		t.Error(err)
	}
}

// What a remote detector has said is used again for the same content and version, and not past its time.
func TestOutputs(t *testing.T) {
	o, err := newOutputs(2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tenant, in := accesstest.Caller(t, "a").Tenant, detect.Input{Content: "x", Type: api.ContentText}
	key := outputKey(tenant, in, "a/d@1")
	o.put(key, wire.Output{Vendor: "own"})
	if out, ok := o.get(key); !ok || out.Vendor != "own" || strings.Contains(key, "x ") {
		t.Error(out, ok, key)
	}
	other := accesstest.Caller(t, "b").Tenant
	for _, k := range []string{outputKey(tenant, in, "a/d@2"), outputKey(tenant, detect.Input{Content: "x", Type: api.ContentCode}, "a/d@1"), outputKey(other, in, "a/d@1")} {
		if _, ok := o.get(k); ok || k == key {
			t.Error(k)
		}
	}
	if o.life = 0; true {
		if _, ok := o.get(key); ok {
			t.Error("it outlives its time")
		}
	}
	var none *outputs
	none.put(key, wire.Output{})
	if _, ok := none.get(key); ok {
		t.Error("there is no cache")
	}
}
