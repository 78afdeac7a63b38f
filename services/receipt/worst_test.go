package receipt

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// talkative is a Refiner whose every program gives as many reasons as one may, each as long as it may be.
type talkative struct{}

func (talkative) Refine(_ context.Context, program string, _ policy.Evidence, _ policy.Judgment) (policy.Refinement, error) {
	said := policy.Refinement{Action: api.ActionBlock}
	for i := range policy.MaxReasons {
		said.Reasons = append(said.Reasons, long(program, i))
	}
	return said, nil
}

// long is a name of the greatest length.
func long(kind string, i int) string { return fmt.Sprintf("%s%0*d", kind, 64-len(kind), i) }

// largest is the policy with the longest judgments that its limits allow: a floor and a policy beside it, with detectors of
// their own, all required, and more that the caller requires.
func largest(t *testing.T) (p *policy.Policy, names []string) {
	t.Helper()
	const most = 50
	document := func(kind string, n int) (*policy.Policy, error) {
		var b strings.Builder
		fmt.Fprintf(&b, "name: %s\nrego: %s\ndetectors:\n", long(kind, 0), kind)
		for i := range n {
			fmt.Fprintf(&b, "  %s: {mode: required, on_error: review}\n", long(kind, i))
		}
		b.WriteString("rules: [{labels: ['*'], action: redact}]\n")
		return policy.Parse([]byte(b.String()))
	}
	one := func(kind string) *policy.Policy {
		p, err := document(kind, most)
		if _, tooMany := document(kind, most+1); err != nil || tooMany == nil {
			t.Fatal(err, tooMany)
		}
		for i := range most {
			names = append(names, long(kind, i))
		}
		return p
	}
	p = policy.Combine(one("floor"), one("chosen"))
	var more []string
	for i := range api.MaxChosen {
		more = append(more, long("more", i))
	}
	p, _, err := p.With(policy.Additions{Required: more})
	if err != nil {
		t.Fatal(err)
	}
	return p, append(names, more...)
}

// The longest judgment that policies, detectors and programs can lead to has room on a receipt, beside evidence of any size.
func TestLongestJudgment(t *testing.T) {
	p, names := largest(t)
	var e policy.Evidence
	e.ContentType, e.Characters = api.ContentText, 50_000
	for i, name := range names {
		d := policy.DetectorEvidence{Name: name, Version: long("v", i), Status: api.StatusTimeout, Reason: long("reason", i)}
		if i < api.MaxRegistered+10 { // those that a tenant may have registered, and the built-in ones
			d.Status, d.Scanned, d.LeftOut = api.StatusOK, 1, 1
			for k := range 100 {
				d.Findings = append(d.Findings, policy.Finding{Native: long("hmac:", k), Score: 0.987654321, Labels: []string{long("LABEL.", k)}, Confidence: 0.987654321, Source: api.SourceModel, Places: 1000})
			}
			d.Findings = append(d.Findings, policy.Finding{Native: "bare", Score: 1})
		}
		e.Detectors = append(e.Detectors, d)
	}
	j := p.Refine(t.Context(), talkative{}, e, p.Judge(e))
	raw, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	r := decision("block")
	r.Judgment = raw
	for i, name := range names {
		r.Versions.Detectors[name] = long("v", i)
	}
	if err := Fit(r, e); err != nil {
		t.Fatal(err)
	}
	if _, err := Entries(accesstest.Caller(t, "a").Tenant, r); err != nil {
		t.Errorf("a judgment of %d bytes, %d reasons and %d labels: %v", len(raw), len(j.Reasons), len(j.Labels), err)
	}
}
