package rego

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

const head = "package llama_mapper\n"

var (
	evidence = policy.Evidence{ContentType: api.ContentText, Characters: 9, Detectors: []policy.DetectorEvidence{{Name: "pii", Status: api.StatusOK, Findings: []policy.Finding{{Native: "SSN", Score: 0.9, Labels: []string{"PII.Identifier.SSN"}, Places: 7}}}}}
	judgment = policy.Judgment{Action: api.ActionFlag, Labels: []policy.LabelVerdict{{Label: "PII.Identifier.SSN", Holds: true, Places: 7}}}
)

// A program sees evidence and judgment; what it says has a form, or nothing is said.
func TestRefine(t *testing.T) {
	e := within(time.Minute)
	for name, c := range map[string]struct{ program, want string }{
		"action":       {`action := "block"`, "block"},
		"reasons":      {`action := "review" if { some l in input.judgment.labels; l.places > 5 }` + "\n" + `reasons contains x if { x := "many" }` + "\n" + `reasons contains "b"`, "review b many"},
		"evidence":     {`action := "block" if { some d in input.evidence.detectors; some f in d.findings; f.native == "SSN"; d.status == "ok" }`, "block"},
		"undefined":    {`action := "block" if input.judgment.action == "allow"`, ""},
		"shape":        {`action := 7`, "shape"},
		"no action":    {`action := "explode"`, "shape"},
		"reason":       {`action := "block"` + "\n" + `reasons contains "what somebody wrote"`, "shape"},
		"no set":       {`action := "block"` + "\n" + `reasons := "one"`, "shape"},
		"many reasons": {`action := "block"` + "\n" + `reasons contains x if { some i in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]; x := substring("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, i) }`, "shape"},
		"two actions":  {`action := "block" if true` + "\n" + `action := "allow" if true`, "failed"},
		"no program":   {`action :=`, "program"},
	} {
		r, err := e.Refine(context.Background(), head+c.program, evidence, judgment)
		got := strings.TrimSpace(strings.Join(append([]string{string(r.Action)}, r.Reasons...), " "))
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A program has no way out of the sandbox, and no way to take more than it may.
func TestCheck(t *testing.T) {
	e := New()
	for program, want := range map[string]string{
		`package other` + "\n" + `action := "block"`:                                                      "package is llama_mapper",
		head + `act := "block"`:                                                                           "no rule action",
		head + `action := http.send({"method": "GET", "url": "http://127.0.0.1"}).body`:                   "undefined function http.send",
		head + `action := opa.runtime().env.HOME`:                                                         "undefined function opa.runtime",
		head + `action := net.lookup_ip_addr("example.com")[0]`:                                           "undefined function net.lookup_ip_addr",
		head + `action := "block" if rand.intn("x", 2) == 1`:                                              "undefined function rand.intn",
		head + `action := "block" if time.now_ns() > 1`:                                                   "undefined function time.now_ns",
		head + `action := "block" if trace("x")`:                                                          "undefined function trace",
		head + `action := "block" if bits.lsh(1, 1000000000) > 1`:                                         "undefined function bits.lsh",
		head + `action := "block" if json.match_schema({}, {"$ref": "http://127.0.0.1"})[0]`:              "undefined function json.match_schema",
		head + `action := "block" if 1e100 + 1 > 1`:                                                       "no exponent",
		head + `action := "block" if to_number("1e1000000000") + 1 > 1`:                                   "undefined function to_number",
		head + "import data.other\n" + `action := other.x`:                                                "",
		head + `action := "block" if {`:                                                                   "line 2",
		head + `action := x`:                                                                              "line 2: ",
		head + `action := "block"` + "\n" + strings.Repeat("r contains 1\n", maxRules):                    "100 are the most",
		head + `action := "block" # ` + strings.Repeat("x", policy.MaxRego):                               "bytes",
		head + `action := "block" if regex.match("^SSN", input.evidence.detectors[0].findings[0].native)`: "",
	} {
		err := e.Check(program)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || api.AsError(err).Code == api.Internal) {
			t.Errorf("%.80s: %v, want %q", program, err, want)
		}
	}
}

// A program that would take forever is stopped, and so is one whose request is over.
func TestDeadline(t *testing.T) {
	long := head + `n := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
action := "block" if { some a in n; some b in n; some c in n; some d in n; some e in n; some f in n; some g in n; some h in n; some i in n; a+b+c+d+e+f+g+h+i < 0 }`
	if _, err := New().Refine(context.Background(), long, evidence, judgment); err == nil || err.Error() != "deadline" {
		t.Error(err)
	}
	gone, stop := context.WithCancel(context.Background())
	stop()
	if _, err := within(time.Minute).Refine(gone, head+`action := "block"`, evidence, judgment); err == nil || err.Error() != "deadline" {
		t.Error(err)
	}
}

// A policy's program makes its judgment stricter, never milder, and what fails is told.
func TestPolicy(t *testing.T) {
	for program, want := range map[string]string{`action := "block"`: "block rego", `action := "allow"`: "flag ", `action := "block" if false`: "flag rego_undefined", `action := 1`: "flag rego_error"} {
		p, err := policy.Parse([]byte("name: a\ndetectors: {pii: {}}\nrego: |\n  package llama_mapper\n  " + program))
		if err != nil {
			t.Fatal(err)
		}
		j := p.Refine(context.Background(), within(time.Minute), evidence, judgment)
		got := string(j.Action) + " "
		if len(j.Reasons) > 0 {
			got += j.Reasons[0].Code
		}
		if got != want {
			t.Errorf("%s: %q, want %q", program, got, want)
		}
	}
}
