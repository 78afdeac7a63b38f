package policy

import (
	"fmt"
	"strings"
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

// Every fault is told with its place, and nothing that is wrong is taken.
func TestFaults(t *testing.T) {
	for raw, want := range map[string][]string{
		"":                             {"EOF"},
		"name: a\n---\nname: b":        {"second document"},
		"name: a\ncolor: red\nsize: 3": {"line 2, field color not found", "line 3, field size not found"},
		"name: a\ndeadline_ms: soon":   {"line 2, cannot unmarshal"},
		"description: no name\ndeadline_ms: 0\nrules: [{labels: [\"a*b*\"], action: explode}, {min_score: 2}]": {
			"line 1, name:", "line 2, deadline_ms: it must be 1 to 30000", "line 3, rules[0].labels[0]:", "rules[0].action: it must be one of allow", "rules[1].min_score", "rules[1]: say which labels", "rules[1]: say which action",
		},
		"name: a\ndetectors:\n  x:\n    mode: maybe\n    on_error: flag\n    weight: 0\n    threshold: .nan\n    thresholds: {A: 1.5}\n    timeout_ms: -1\n    content_types: [smell]\n  y: {mode: required, excludable: true}\n  \"a b\": {}": {
			"line 4, detectors.x.mode", "line 5, detectors.x.on_error: it must be one of block, allow, review", "line 6, detectors.x.weight", "line 7, detectors.x.threshold: it must be 0 to 1",
			"line 8, detectors.x.thresholds.A", "line 9, detectors.x.timeout_ms", "line 10, detectors.x.content_types", "line 11, detectors.y.excludable", "line 12, detectors.a b",
		},
		"name: a\ncoverage: {method: SOME, minimum: -1}\nconflict: {text: coin, smell: majority_vote}\nunmapped: no\nshadow: {policy: a}": {
			"coverage.method", "coverage.minimum", "conflict.text: it must be one of highest_confidence", "conflict: content types", "unmapped", "shadow.policy: name another",
		},
		"name: a\ncoverage: {method: TAXONOMY_COVERAGE}":                                       {"say which categories"},
		"name: a\nprefer: [\"\"]\ncontent_types: [smell]":                                      {"prefer[0]", "content_types"},
		"name: a\nrego: |\n  " + strings.Repeat("x", MaxRego+1):                                {"rego: 32768 bytes"},
		"name: a\ndescription: " + strings.Repeat("x", maxText+1):                              {"description: 500 bytes"},
		"name: a\nrules:\n" + strings.Repeat("- {labels: [A], action: flag}\n", maxRules+1):    {"rules: it has 201 entries; 200 are the most"},
		"name: a\nprefer: [" + strings.Repeat("a, ", maxList+1) + "]":                          {"prefer: it has 101 entries"},
		"rules:\n" + strings.Repeat("- {action: flag}\n", maxFaults+5):                         {"and 6 more"},
		"name: a\ndetectors: {a: {thresholds: {" + strings.Repeat("N", maxNative+1) + ": 1}}}": {"no detector has a label of more than 256 bytes"},
	} {
		p, err := Parse([]byte(raw))
		if err == nil || p != nil || api.AsError(err).Code != api.InvalidRequest {
			t.Errorf("%.60s: %v", raw, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.60s:\n%v\nlacks %q", raw, err, w)
			}
		}
		if strings.Contains(err.Error(), "policy.") {
			t.Errorf("%v names our types", err)
		}
	}
	if _, err := Parse(make([]byte, MaxPolicy+1)); err == nil || api.AsError(err).Code != api.PayloadTooLarge {
		t.Error(err)
	}
}

// The hash is of what a policy says, however it is written.
func TestHash(t *testing.T) {
	a := parse(t, "name: a\ndetectors: {x: {threshold: 0.5}, y: {}}")
	same := parse(t, "# other\ndetectors:\n  y: {}\n  x: {mode: optional}\nname: a\n")
	other := parse(t, "name: a\ndetectors: {x: {threshold: 0.6}, y: {}}")
	if a.Hash() != same.Hash() || a.Hash() == other.Hash() || len(a.Hash()) != 64 {
		t.Error(a.Hash(), same.Hash(), other.Hash())
	}
	if Combine(a, same) != a || Combine(nil, a) != a || Combine(a, nil) != a || Combine(a, other).Hash() == Combine(other, a).Hash() {
		t.Error("combining")
	}
}

// Of two policies, each member is the stricter one.
func TestCombine(t *testing.T) {
	f := parse(t, `{name: f, deadline_ms: 900, content_types: [text, code], unmapped: flag, conflict: {text: majority_vote}, shadow: {policy: s}, coverage: {minimum: 0.5},
		detectors: {a: {mode: shadow, threshold: 0.9, thresholds: {X: 0.2}, timeout_ms: 100, excludable: true}, b: {mode: required, on_error: allow}}}`)
	x := parse(t, `{name: x, deadline_ms: 800, content_types: [text, image], unmapped: block, coverage: {minimum: 0.9},
		detectors: {a: {mode: optional, on_error: block, weight: 4, threshold: 0.6, timeout_ms: 50}, c: {}}}`)
	p := Combine(f, x)
	a := p.Detectors["a"]
	if p.Name != "f+x" || p.DeadlineMS != 800 || len(p.ContentTypes) != 1 || p.Unmapped != api.ActionBlock || p.Coverage.Minimum != 0.9 || p.Shadow.Policy != "s" ||
		p.Conflict[api.ContentText] != MostRestrictive || p.Conflict[api.ContentCode] != MajorityVote || len(p.Detectors) != 3 {
		t.Errorf("%+v", p)
	}
	if a.Mode != Optional || a.OnError != api.ActionBlock || a.Weight != 4 || a.Threshold != 0.6 || a.Thresholds["X"] != 0.2 || a.TimeoutMS != 100 || a.Excludable || len(a.ContentTypes) != 3 {
		t.Errorf("%+v", a)
	}
}

func TestWith(t *testing.T) {
	p := parse(t, "name: p\ndetectors: {must: {mode: required, on_error: allow}, may: {excludable: true}, can: {}, dark: {mode: shadow}}")
	with, notes, err := p.With(Additions{Required: []string{"can", "new", "must"}, Excluded: []string{"may", "dark", "none"}})
	if err != nil || len(notes) != 1 || !strings.HasPrefix(notes[0], "none is not in the policy") {
		t.Fatal(notes, err)
	}
	for name, want := range map[string]string{"must": "required review false", "can": "required review false", "new": "required review false", "may": "optional allow true", "dark": "shadow allow true"} {
		d := with.Detectors[name]
		if got := fmt.Sprint(d.Mode, " ", d.OnError, " ", d.Excluded); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, notes, err := p.With(Additions{Excluded: []string{"must", "can"}}); err != nil || len(notes) != 2 || !strings.HasPrefix(notes[0], "must stays") {
		t.Error(notes, err)
	}
	if same, _, err := p.With(Additions{}); same != p || err != nil {
		t.Error(err)
	}
	for _, bad := range []Additions{{Required: []string{"a b"}}, {Required: []string{"x"}, Excluded: []string{"x"}}, {Required: []string{"x"}, Excluded: []string{"may", "x"}}, {Required: make([]string, api.MaxChosen+1)}} {
		if _, _, err := p.With(bad); api.AsError(err).Code != api.InvalidRequest {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if p.Detectors["may"].Excluded || len(p.Detectors) != 4 {
		t.Error("the policy itself changed")
	}
}
