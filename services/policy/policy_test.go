package policy

import (
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
)

// parse reads a policy that is right.
func parse(t testing.TB, raw string) *Policy {
	t.Helper()
	p, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a policy does not say has a value.
func TestDefaults(t *testing.T) {
	p := parse(t, "name: least\ndetectors: {a: {mode: required}, b: {}}")
	a, b := p.Detectors["a"], p.Detectors["b"]
	switch {
	case p.DeadlineMS != 2000 || p.Unmapped != api.ActionReview || len(p.ContentTypes) != 4 || len(p.Rules) != 1 || p.Rules[0].Action != api.ActionFlag:
		t.Errorf("%+v", p)
	case p.Coverage.Method != RequiredSet || p.Coverage.Minimum != 0.8 || p.Conflict[api.ContentCode] != MajorityVote:
		t.Errorf("%+v %v", p.Coverage, p.Conflict)
	case a.Mode != Required || a.OnError != api.ActionReview || a.Weight != 1 || a.Threshold != 0.5 || len(a.ContentTypes) != 4:
		t.Errorf("%+v", a)
	case b.Mode != Optional || b.OnError != api.ActionAllow:
		t.Errorf("%+v", b)
	}
}
