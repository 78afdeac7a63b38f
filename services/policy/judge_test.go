package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
)

// brief writes a judgment: action, outcome, coverage, reasons; what was not checked; what failed open.
func brief(j Judgment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %.2f", j.Action, j.Outcome, j.Coverage.Value)
	for _, r := range j.Reasons {
		fmt.Fprintf(&b, " %s:%s%s", r.Code, r.Detector, r.Detail)
	}
	for _, n := range j.NotChecked {
		fmt.Fprintf(&b, " -%s:%s%s:%s", n.What, n.Detector, n.Category, n.Reason)
	}
	if len(j.FailOpen) > 0 {
		fmt.Fprintf(&b, " open:%s", strings.Join(j.FailOpen, ","))
	}
	return b.String()
}

func failed(name, status string) DetectorEvidence {
	return DetectorEvidence{Name: name, Status: api.DetectorStatus(status), Reason: "5xx"}
}

func answered(name string, findings ...Finding) DetectorEvidence {
	return DetectorEvidence{Name: name, Status: api.StatusOK, Scanned: 10, Covers: []string{"PII"}, Findings: findings}
}

func TestJudge(t *testing.T) {
	ssn := Finding{Native: "SSN", Score: 0.9, Labels: []string{"PII.Identifier.SSN"}, Confidence: 0.9, Places: 2}
	bare := Finding{Native: "NEW", Score: 0.9}
	for name, c := range map[string]struct {
		policy    string
		detectors []DetectorEvidence
		want      string
	}{
		"clean":              {"a: {mode: required}", []DetectorEvidence{answered("a")}, "allow SUCCESS 1.00"},
		"nobody":             {"", nil, "unverified FAILURE 0.00 coverage:"},
		"found":              {"a: {}", []DetectorEvidence{answered("a", ssn)}, "flag SUCCESS 1.00 label:a"},
		"below":              {"a: {threshold: 0.95}", []DetectorEvidence{answered("a", ssn)}, "allow SUCCESS 1.00"},
		"below by label":     {"a: {thresholds: {SSN: 0.95}}", []DetectorEvidence{answered("a", ssn)}, "allow SUCCESS 1.00"},
		"safe":               {"a: {}", []DetectorEvidence{answered("a", Finding{Native: "OK", Score: 1, Labels: []string{labelSafe}})}, "allow SUCCESS 1.00"},
		"not asked for":      {"a: {}", []DetectorEvidence{answered("a"), answered("b", ssn), failed("c", "error")}, "allow SUCCESS 1.00"},
		"unmapped":           {"a: {}", []DetectorEvidence{answered("a", bare)}, "review PARTIAL 1.00 unmapped:a -findings:a:unmapped"},
		"required fails":     {"a: {mode: required}", []DetectorEvidence{failed("a", "timeout")}, "review FAILURE 0.00 detector:atimeout coverage: -detector:a:5xx"},
		"required blocks":    {"a: {mode: required, on_error: block}, b: {mode: required}", []DetectorEvidence{failed("a", "timeout"), answered("b")}, "block PARTIAL 0.50 detector:atimeout coverage: -detector:a:5xx"},
		"required open":      {"a: {mode: required, on_error: allow}, b: {}", []DetectorEvidence{failed("a", "busy"), answered("b")}, "unverified PARTIAL 0.00 coverage: fail_open:abusy -detector:a:5xx open:a"},
		"required open, bad": {"a: {mode: required, on_error: allow}, b: {}", []DetectorEvidence{failed("a", "busy"), answered("b", ssn)}, "unverified PARTIAL 0.00 coverage: fail_open:abusy label:b -detector:a:5xx open:a"},
		"optional open":      {"a: {}, b: {mode: required}", []DetectorEvidence{failed("a", "unsupported_input"), answered("b")}, "allow PARTIAL 1.00 -detector:a:5xx open:a"},
		"optional review":    {"a: {on_error: review}, b: {mode: required}", []DetectorEvidence{failed("a", "cancelled"), answered("b")}, "review PARTIAL 1.00 detector:acancelled -detector:a:5xx"},
		"absent":             {"a: {mode: required}", nil, "review FAILURE 0.00 detector:aerror coverage: -detector:a:absent"},
		"other content":      {"a: {mode: required, on_error: block, content_types: [image]}, b: {}", []DetectorEvidence{failed("a", "skipped_by_policy"), answered("b")}, "allow SUCCESS 1.00"},
		"left out":           {"a: {excludable: true}, b: {mode: required}", []DetectorEvidence{failed("a", "skipped_by_policy"), answered("b")}, "allow PARTIAL 1.00 -detector:a:5xx"},
		"excludable fails":   {"a: {excludable: true}, b: {mode: required}", []DetectorEvidence{failed("a", "error"), answered("b")}, "allow PARTIAL 1.00 -detector:a:5xx open:a"},
		"shadow":             {"a: {mode: shadow, on_error: block}, b: {mode: required}", []DetectorEvidence{answered("a", ssn, bare), answered("b")}, "allow SUCCESS 1.00"},
		"shadow fails":       {"a: {mode: shadow, on_error: block}, b: {mode: required}", []DetectorEvidence{failed("a", "error"), answered("b")}, "allow SUCCESS 1.00"},
		"half read":          {"a: {mode: required}", []DetectorEvidence{{Name: "a", Status: api.StatusOK, Scanned: 5, Reason: "window"}}, "allow PARTIAL 1.00 -characters:a:window"},
		"twice":              {"a: {mode: required}", []DetectorEvidence{answered("a"), failed("a", "error")}, "review PARTIAL 0.50 detector:aerror coverage: -detector:a:5xx"},
	} {
		p := parse(t, "name: p\ndetectors: {"+c.policy+"}")
		j := p.Judge(Evidence{ContentType: api.ContentText, Characters: 10, Mapped: true, Detectors: c.detectors})
		if got := brief(j); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if shadow := strings.HasPrefix(name, "shadow") && len(c.detectors[0].Findings) > 0; shadow != (len(j.ShadowLabels) == 1) {
			t.Errorf("%s: %+v", name, j.ShadowLabels)
		}
	}
}

// A mapper that did not answer is told, even where a label is known without it.
func TestNotMapped(t *testing.T) {
	e := Evidence{ContentType: api.ContentText, Characters: 10, Detectors: []DetectorEvidence{answered("a", Finding{Native: "N", Score: 1, Labels: []string{"PII.Other"}, Confidence: 1})}}
	if j := parse(t, "name: p\ndetectors: {a: {}}").Judge(e); j.Outcome != api.OutcomePartial {
		t.Errorf("%+v", j)
	}
	e.Detectors[0].Findings = nil
	if j := parse(t, "name: p\ndetectors: {a: {}}").Judge(e); j.Outcome != api.OutcomeSuccess {
		t.Errorf("%+v", j)
	}
}

// Coverage is measured as each method says.
func TestCoverage(t *testing.T) {
	e := Evidence{ContentType: api.ContentText, Characters: 100, Mapped: true, Detectors: []DetectorEvidence{
		{Name: "a", Status: api.StatusOK, Scanned: 90, Covers: []string{"PII", "HARM.SPEECH"}}, {Name: "b", Status: api.StatusOK, Scanned: 40, Covers: []string{"SECURITY"}}, failed("c", "error"),
	}}
	for _, c := range []struct{ detectors, coverage, want string }{
		{"a: {mode: required}, b: {}, c: {}", "{}", "1.00 true"},
		{"a: {}, b: {}, c: {}", "{}", "0.67 false"},
		{"a: {}, b: {}, c: {}", "{minimum: 0.6}", "0.67 true"},
		{"a: {mode: required}, c: {mode: required, on_error: allow}", "{}", "0.50 false"},
		{"a: {weight: 3}, c: {}", "{method: WEIGHTED_COVERAGE}", "0.75 false"},
		{"a: {weight: 4}, c: {}", "{method: WEIGHTED_COVERAGE}", "0.80 true"},
		{"a: {}, b: {}", "{method: TAXONOMY_COVERAGE, categories: [PII, SECURITY, HARM, HARM.SPEECH.Insult]}", "0.75 false"},
		{"a: {}, b: {mode: shadow}", "{method: TAXONOMY_COVERAGE, categories: [PII.Contact, SECURITY]}", "0.50 false"},
		{"a: {mode: required}, b: {}", "{method: CHARACTERS}", "0.90 true"},
		{"a: {}, b: {}", "{method: CHARACTERS}", "0.40 false"},
		{"a: {mode: required}, c: {mode: required}", "{method: CHARACTERS}", "0.00 false"},
		{"", "{method: WEIGHTED_COVERAGE}", "0.00 false"},
		{"", "{method: CHARACTERS, minimum: 0}", "0.00 true"},
	} {
		j := parse(t, "name: p\ndetectors: {"+c.detectors+"}\ncoverage: "+c.coverage).Judge(e)
		if got := fmt.Sprintf("%.2f %v", j.Coverage.Value, j.Coverage.Met); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// The first rule that is for a label decides it; the strictest of the labels decides the content.
func TestRules(t *testing.T) {
	const rules = "name: p\ndetectors: {a: {}}\nrules:\n- {labels: [PII.Contact.Email], min_score: 0.8, min_confidence: 0.5, action: redact}\n- {labels: [PII.Contact.*], action: allow}\n- {labels: [\"*Token\"], action: block}\n"
	for _, c := range []struct {
		label             string
		score, confidence float64
		want              string
	}{
		{"PII.Contact.Email", 0.9, 0.9, "redact 0"}, {"PII.Contact.Email", 0.7, 0.9, "allow"}, {"PII.Contact.Email", 0.9, 0.4, "allow"},
		{"PII.Contact.Phone", 1, 1, "allow"}, {"SECURITY.Credential.Token", 1, 1, "block 2"}, {"BIAS.Age", 1, 1, "allow"},
	} {
		j := parse(t, rules).Judge(Evidence{ContentType: api.ContentText, Mapped: true, Detectors: []DetectorEvidence{answered("a", Finding{Native: "N", Score: c.score, Labels: []string{c.label}, Confidence: c.confidence})}})
		got := string(j.Action)
		if len(j.Reasons) > 0 {
			got += fmt.Sprint(" ", *j.Reasons[0].Rule)
		}
		if got != c.want || (j.Action == api.ActionRedact) != (len(j.Redact) == 1) {
			t.Errorf("%+v: %s %v", c, got, j.Redact)
		}
	}
	both := parse(t, rules).Judge(Evidence{ContentType: api.ContentText, Mapped: true, Detectors: []DetectorEvidence{answered("a",
		Finding{Native: "N", Score: 1, Labels: []string{"PII.Contact.Email"}, Confidence: 1}, Finding{Native: "T", Score: 1, Labels: []string{"SECURITY.Credential.Token"}, Confidence: 1})}})
	if both.Action != api.ActionBlock || len(both.Redact) != 1 || len(both.Reasons) != 2 || both.Reasons[0].Label != "SECURITY.Credential.Token" {
		t.Errorf("%+v", both)
	}
}

// The rules of both policies are for what the detectors of either find.
func TestCombinedRules(t *testing.T) {
	f := parse(t, "name: f\ndetectors: {a: {}}\nrules: [{labels: [PII.*], action: block}]")
	x := parse(t, "name: x\ndetectors: {b: {}}\nrules: [{labels: [\"*\"], action: flag}]")
	for _, p := range []*Policy{Combine(f, x), Combine(x, f)} {
		j := p.Judge(Evidence{ContentType: api.ContentText, Mapped: true, Detectors: []DetectorEvidence{answered("a"), answered("b", Finding{Native: "N", Score: 1, Labels: []string{"PII.Other"}, Confidence: 1})}})
		if j.Action != api.ActionBlock || j.Outcome != api.OutcomeSuccess || j.Reasons[0].Policy != "f" || *j.Reasons[0].Rule != 0 {
			t.Errorf("%+v", j)
		}
	}
}

// Where the rules are milder with a surer detector beside, a label keeps what its own policy says of it.
func TestCombinedLabels(t *testing.T) {
	f := parse(t, "name: f\ndetectors: {a: {}}\nrules: [{labels: [PII.*], min_score: 0.8, action: allow}, {labels: [PII.*], action: block}]")
	x := parse(t, "name: x\ndetectors: {b: {}}\nrules: [{labels: [\"*\"], action: flag}]\nconflict: {text: most_restrictive}")
	found := func(score float64) Finding {
		return Finding{Native: "N", Score: score, Labels: []string{"PII.Other"}, Confidence: 1}
	}
	j := Combine(f, x).Judge(Evidence{ContentType: api.ContentText, Mapped: true, Detectors: []DetectorEvidence{answered("a", found(0.6)), answered("b", found(1))}})
	if j.Action != api.ActionBlock || len(j.Labels) != 1 || j.Labels[0].Action != api.ActionBlock {
		t.Errorf("%+v", j)
	}
}

// scripted answers for programs.
type scripted map[string]Refinement

func (s scripted) Refine(_ context.Context, program string, _ Evidence, _ Judgment) (Refinement, error) {
	r, ok := s[strings.TrimSpace(program)]
	if !ok {
		return r, errors.New("broken")
	}
	return r, nil
}

// The programs of all parts of a policy are asked, each once, and only a stricter answer counts.
func TestRefine(t *testing.T) {
	a, b, c := parse(t, "name: a\nrego: block"), parse(t, "name: b\nrego: allow"), parse(t, "name: c\nrego: other")
	r := scripted{"block": {Action: api.ActionBlock, Reasons: []string{"x", "y"}}, "allow": {Action: api.ActionAllow}}
	p, _, err := Combine(Combine(a, b), c).With(Additions{Required: []string{"d"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Programs(); len(got) != 3 {
		t.Error(got)
	}
	j := p.Refine(context.Background(), r, Evidence{}, Judgment{Action: api.ActionFlag})
	if got := brief(j); got != "block  0.00 rego:x rego:y rego_error:broken" {
		t.Error(got)
	}
}
