package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
)

var known = Known{
	Labels: []string{"PII.Contact.Email", "PII.Contact.URL", "SECURITY.MaliciousURL", "HARM.SPEECH.Insult", "OTHER.Unknown"},
	Says:   map[string][]string{"pii": {"PII.Contact.Email"}, "urls": {"PII.Contact.URL", "SECURITY.MaliciousURL"}},
	Programs: func(string) error {
		return api.Errorf(api.InvalidRequest, "line 2: broken")
	},
}

func TestLint(t *testing.T) {
	for policy, want := range map[string]string{
		"name: p\ndetectors: {pii: {mode: required, weight: 2}}\nrules: [{labels: [PII.*], action: block}, {labels: [OTHER.Unknown], action: flag}]": "",
		"name: p": "1 no-detector, 1 no-detector, 1 no-detector, 1 no-detector",
		"name: p\ndetectors:\n  pii: {mode: shadow}\n  urls: {content_types: [text]}\ncontent_types: [text, code]":                                                                    "3 no-detector",
		"name: p\ndetectors:\n  pii: {}\n  urls:\n    content_types: [image]\ncontent_types: [text]":                                                                                  "5 never-asked",
		"name: p\ndetectors:\n  pii: {timeout_ms: 2001}":                                                                                                                              "3 timeout",
		"name: p\ndetectors:\n  pii: {excludable: true, on_error: block}":                                                                                                             "3 excludable",
		"name: p\ndetectors:\n  pii: {mode: required}\n  urls: {}\ncoverage: {method: WEIGHTED_COVERAGE}":                                                                             "3 no-weight",
		"name: p\ndetectors: {pii: {}}\nrules:\n- {labels: [PII.*], action: flag}\n- labels: [PII.Contact.Email]\n  action: block":                                                    "5 unreachable",
		"name: p\ndetectors: {pii: {}}\nrules:\n- {labels: [PII.*], min_score: 0.9, action: block}\n- {labels: [PII.Contact.Email], action: flag}":                                    "",
		"name: p\ndetectors: {pii: {}, urls: {}}\nrules:\n- {labels: [\"*.Email\"], action: block}\n- {labels: [\"*URL\"], action: block}\n- {labels: [PII.Contact.*], action: flag}": "6 unreachable",
		"name: p\ndetectors: {pii: {}}\nrules:\n- labels: [PII.*]\n  action: flag\n- labels:\n  - PII.Contact.Fax\n  - OTHER.*\n  action: flag":                                       "7 no-label",
		"name: p\ndetectors: {pii: {}}\nrules:\n- {labels: [HARM.*, SECURITY.*], action: block}":                                                                                      "4 no-trigger",
		"name: p\ndetectors: {pii: {}, other: {}}\nrules:\n- {labels: [HARM.*, SECURITY.*], action: block}":                                                                           "",
		"name: p\ndetectors: {pii: {}, other: {mode: shadow}}\nrules:\n- {labels: [HARM.*], action: block}":                                                                           "4 no-trigger",
		"name: p\ndetectors: {pii: {}}\ncoverage:\n  categories: [PII, SMELL, HARM]":                                                                                                  "4 no-label, 4 no-trigger",
		"name: p\ndetectors: {pii: {}}\nconflict: {text: tenant_preference}":                                                                                                          "3 prefer",
		"name: p\ndetectors: {pii: {}}\nprefer: [pii]":                                                                                                                                "3 prefer",
		"name: p\ndetectors: {pii: {}}\nconflict: {text: tenant_preference}\nprefer:\n- pii\n- urls":                                                                                  "6 prefer",
		"name: p\ndetectors: {pii: {}}\nrego: |\n  package llama_mapper":                                                                                                              "3 rego",
		"name: p\ndetectors: {pii: {threshold: 2}}\nunmapped: x":                                                                                                                      "2 syntax, 3 syntax",
		"name: p\ncolor: red":            "2 syntax",
		"x":                              "1 syntax",
		strings.Repeat("#", MaxPolicy+1): "1 syntax",
	} {
		var got []string
		for _, p := range Lint("f", []byte(policy), known) {
			got = append(got, fmt.Sprint(p.Line, " ", p.Rule))
			if LintRules[p.Rule] == "" || p.File != "f" || p.Text == "" {
				t.Errorf("%+v", p)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%.200s:\n%v, want %s", policy, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	a := parse(t, "name: a\ndetectors: {x: {mode: required}, y: {}, z: {}}\nrules: [{labels: [PII.*], min_score: 0.5, action: block}, {labels: [HARM.*], action: flag}]\nunmapped: flag\ncoverage: {minimum: 1}\nrego: a")
	b := parse(t, "name: b\ndeadline_ms: 9\ndetectors: {x: {}, y: {threshold: 0.4, thresholds: {N: 0.9}, content_types: [text], excludable: true}, w: {}}\nrules: [{labels: [PII.*], action: redact}, {labels: [HARM.*], min_score: 0.7, action: block}]")
	var got []string
	for _, c := range Diff(a, b, known.Labels) {
		got = append(got, fmt.Sprintf("%s %s: %s -> %s", c.Direction, c.Place, c.From, c.To))
	}
	want := []string{
		"changed deadline_ms: 2000 -> 9", "stricter unmapped: flag -> review", "weaker coverage.minimum: 1 -> 0.8", "stricter detectors.w:  -> optional",
		"weaker detectors.x.mode: required -> optional", "weaker detectors.x.on_error: review -> allow", "stricter detectors.y.threshold: 0.5 -> 0.4", "weaker detectors.y.thresholds.N: 0.5 -> 0.9",
		`weaker detectors.y.content_types: ["code","document","image","text"] -> ["text"]`, "weaker detectors.y.excludable: false -> true", "weaker detectors.z: optional -> ",
		"changed labels.PII.Contact.Email: block -> redact", "changed labels.PII.Contact.URL: block -> redact", "changed labels.HARM.SPEECH.Insult: flag -> block", "changed rego: 1 bytes -> 0 bytes",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if same := Diff(a, a, known.Labels); len(same) != 0 {
		t.Error(same)
	}
}
