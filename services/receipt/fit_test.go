package receipt

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// flood is evidence of two detectors, with so many findings of one, of which the even are the strong ones and the last has
// a label of its own.
func flood(n int) policy.Evidence {
	var all []policy.Finding
	for i := range n {
		all = append(all, policy.Finding{Native: fmt.Sprintf("hmac:%064d", i), Score: 0.9 - 0.3*float64(i%2), Labels: []string{"PII.Contact.Email"}})
	}
	all[n-1].Labels, all[n-1].Score = []string{"HARM.CRIME.Weapons"}, 0.5
	return policy.Evidence{ContentType: api.ContentText, Detectors: []policy.DetectorEvidence{
		{Name: "many", Status: api.StatusOK, Findings: all}, {Name: "one", Status: api.StatusOK, Findings: []policy.Finding{{Native: "SSN", Score: 0.1}}},
	}}
}

// Evidence of any size has room on a receipt: the strongest findings are there, in their order, and the others are counted.
func TestFit(t *testing.T) {
	tenant := accesstest.Caller(t, "a").Tenant
	for _, n := range []int{1, 1000, 5000, 7000, 8000, 20_000} {
		r, e := decision("block"), flood(n)
		if err := Fit(r, e); err != nil {
			t.Fatal(err)
		}
		entries, err := Entries(tenant, r)
		if err != nil {
			t.Fatal(n, err)
		}
		var got policy.Evidence
		if err := json.Unmarshal(r.Evidence, &got); err != nil {
			t.Fatal(err)
		}
		many, one := got.Detectors[0], got.Detectors[1]
		if n <= 7000 {
			if !reflect.DeepEqual(got, e) {
				t.Errorf("%d: %d left out", n, many.LeftOut)
			}
			continue
		}
		kept := len(many.Findings)
		if kept+many.LeftOut != n || kept < 6000 || len(one.Findings) != 1 || one.LeftOut != 0 || many.Findings[kept-1].Labels[0] != "HARM.CRIME.Weapons" {
			t.Errorf("%d: %d kept, %d left out; %+v", n, kept, many.LeftOut, one)
		}
		weak := 0
		for i, f := range many.Findings {
			if f.Score < 0.9 {
				weak++
			}
			if i > 0 && i < kept-1 && f.Native <= many.Findings[i-1].Native {
				t.Fatalf("%d: out of order", i)
			}
		}
		if strong := (n + 1) / 2; kept > strong+1 && weak != kept-strong || kept < strong && weak != 1 {
			t.Errorf("%d: %d of %d are weak", n, weak, kept)
		}
		if len(entries[0].JSON) < maxReceipt-1000 {
			t.Errorf("%d: there was room in %d bytes", n, len(entries[0].JSON))
		}
	}
}
