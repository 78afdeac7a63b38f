package framework

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
)

func taxonomy(t testing.TB) []string {
	t.Helper()
	var doc struct{ Labels []struct{ ID string } }
	if err := yaml.Unmarshal(config.Taxonomy(), &doc); err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, l := range doc.Labels {
		labels = append(labels, l.ID)
	}
	return labels
}

func shipped(t testing.TB) *Set {
	t.Helper()
	s, err := Parse(config.Frameworks(), taxonomy(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return d
}

var always = day("2100-01-01") // when all that is adopted applies

func ids(edges []Edge) []string {
	var all []string
	for _, e := range edges {
		all = append(all, e.ID())
	}
	return all
}

// 89 of 89 labels: each has edges, or every framework says why not; each framework has edges or a reason for each.
func TestCoverage(t *testing.T) {
	s, labels := shipped(t), taxonomy(t)
	if len(labels) != 89 || len(s.Frameworks()) != 12 {
		t.Fatalf("%d labels, %d frameworks", len(labels), len(s.Frameworks()))
	}
	var without []string
	for _, label := range labels {
		concerned := map[string]bool{}
		for _, e := range s.Controls(label, always) {
			concerned[e.Framework] = true
		}
		reasons := s.Unmapped(label)
		for _, r := range reasons {
			if concerned[r.Framework] || r.Why == "" {
				t.Errorf("%s: %s gives a reason %q", label, r.Framework, r.Why)
			}
			concerned[r.Framework] = true
		}
		if len(concerned) != 12 {
			t.Errorf("%s: only %d frameworks have edges or a reason", label, len(concerned))
		}
		if len(reasons) == 12 {
			without = append(without, label)
		}
	}
	if want := []string{"OTHER.LowRisk", "OTHER.Safe", "OTHER.Unknown"}; !slices.Equal(without, want) {
		t.Errorf("without a control are %v, want %v", without, want)
	}
}

// What ships says what a domain expert would look for first.
func TestControls(t *testing.T) {
	s := shipped(t)
	f := func(label, control string, want Relation) {
		t.Helper()
		for _, e := range s.Controls(label, always) {
			if e.ID() == control {
				if e.Relation != want || e.Title == "" || e.Rationale == "" || e.Edition == "" || !slices.Equal(e.Labels, []string{label}) {
					t.Errorf("%+v, want %s", e, want)
				}
				return
			}
		}
		if want != "" {
			t.Errorf("%s does not lead to %s: %v", label, control, ids(s.Controls(label, always)))
		}
	}
	f("PII.Person.Name", "HIPAA:164.514(b)(2)(i)(A)", Violates)
	f("PII.Health.HIPAA", "GDPR:Art.9(1)", Detects)
	f("PII.Identifier.CreditCard", "PCI-DSS:3.4.1", Violates)
	f("PII.Identifier.CreditCard", "GDPR:Art.9(1)", "") // money is no special category
	f("SECURITY.Credential.APIKey", "NIST-800-53:IA-5", Violates)
	f("JAILBREAK.Attempt", "MITRE-ATLAS:AML.T0054", Detects)
	f("JAILBREAK.Attempt", "SOC2:CC7.2", Detects)
	f("PROMPT_INJECTION.Indirect", "MITRE-ATLAS:AML.T0051.001", Detects)
	f("PROMPT_INJECTION.Indirect", "MITRE-ATLAS:AML.T0051.000", "")
	f("PROMPT_INJECTION.SystemPromptLeak", "OWASP-LLM:LLM07:2025", Detects)
	f("PROMPT_INJECTION.Other", "ISO27001:A.8.15", Evidences)
	f("OTHER.Hallucination", "NIST-AI-600-1:2.2", Detects)
	f("HARM.CRIME.CBRN", "NIST-AI-600-1:2.1", Detects)
	f("BIAS.Age", "NIST-AI-RMF:MEASURE 2.11", Evidences)
	f("OTHER.ModelError", "ISO42001:A.6.2.8", Evidences)
	if got := s.Controls("no label", always); got != nil {
		t.Errorf("what is no label concerns %v", ids(got))
	}
}

// The Act begins in steps, and so do the answers.
func TestDates(t *testing.T) {
	s := shipped(t)
	f := func(label, control, first string) {
		t.Helper()
		before := day(first).Add(-time.Second)
		if slices.Contains(ids(s.Controls(label, before)), control) {
			t.Errorf("%s concerns %s before %s", label, control, first)
		}
		if !slices.Contains(ids(s.Controls(label, day(first))), control) {
			t.Errorf("%s does not concern %s on %s", label, control, first)
		}
	}
	f("OTHER.Misinformation", "EU-AI-ACT:Art.5(1)(a)", "2025-02-02")
	f("OTHER.IntellectualProperty", "EU-AI-ACT:Art.53(1)(c)", "2025-08-02")
	f("OTHER.Political", "EU-AI-ACT:Art.50(4)", "2026-08-02")
	f("HARM.VIOLENCE.ChildSexualAbuse", "EU-AI-ACT:Art.5(1) of 2026/1744", "2026-12-02")
	f("JAILBREAK.Attempt", "EU-AI-ACT:Art.12", "2027-12-02")
	f("PII.Contact.Email", "GDPR:Art.6", "2018-05-25")
	f("PII.Identifier.CreditCard", "PCI-DSS:12.10.7", "2025-03-31")
}

// Several labels give each edge once, in the frameworks' order, with the labels it is for in the taxonomy's.
func TestMerge(t *testing.T) {
	s := shipped(t)
	asked := []string{"JAILBREAK.Attempt", "PII.Contact.Email", "PII.Person.Name", "PII.Contact.Email"}
	merged := s.Merge(asked, always)
	if !slices.Equal(asked, []string{"JAILBREAK.Attempt", "PII.Contact.Email", "PII.Person.Name", "PII.Contact.Email"}) {
		t.Error("the question was changed")
	}
	places, found := map[int]bool{}, false
	for i, e := range merged {
		if places[e.place] || i > 0 && merged[i-1].place > e.place {
			t.Errorf("%s is there twice, or out of order", e.ID())
		}
		places[e.place] = true
		if e.ID() == "GDPR:Art.6" {
			found = slices.Equal(e.Labels, []string{"PII.Person.Name", "PII.Contact.Email"})
		}
	}
	if !found || !slices.IsSortedFunc(merged, func(a, b Edge) int { return strings.Compare(a.Framework, b.Framework) }) {
		t.Errorf("%+v", merged)
	}
	if odd := s.Merge([]string{"PII.Person.Name", "no label", "PII.Person.Name"}, always); len(odd[0].Labels) != 1 {
		t.Errorf("%v", odd[0].Labels)
	}
	again := s.Merge([]string{"PII.Person.Name", "PII.Contact.Email", "JAILBREAK.Attempt"}, always)
	if !slices.EqualFunc(merged, again, func(a, b Edge) bool { return a.ID() == b.ID() && slices.Equal(a.Labels, b.Labels) }) {
		t.Error("the order of the question changes the answer")
	}
	merged[0].Labels[0] = "changed"
	if s.Merge(asked, always)[0].Labels[0] == "changed" {
		t.Error("an answer shares its labels with the next")
	}
}

// Ids of ISO/IEC 27001:2013 lead to those of 2022.
func TestCurrent(t *testing.T) {
	s := shipped(t)
	f := func(framework, old string, want ...string) {
		t.Helper()
		if got := s.Current(framework, old); !slices.Equal(got, want) {
			t.Errorf("%s %s is %v, want %v", framework, old, got, want)
		}
	}
	f("ISO27001", "A.12.4.1", "A.8.15")
	f("ISO27001", "A.9.4.3", "A.5.17")
	f("ISO27001", "A.18.1.4", "A.5.34")
	f("ISO27001", "A.1.1.1")
	f("SOC2", "A.12.4.1")
}

// The version changes with any byte, and with nothing else.
func TestVersion(t *testing.T) {
	s := shipped(t)
	if len(s.Version()) != len("2026-11-25-01234567") || s.Version() != shipped(t).Version() {
		t.Errorf("version %q", s.Version())
	}
	one, err := Parse(files(good), labels)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Parse(files(good+"# a remark\n"), labels)
	if err != nil || one.Version() == two.Version() || one.Version()[:10] != "2026-01-02" {
		t.Errorf("%s, %s, %v", one.Version(), two.Version(), err)
	}
}
