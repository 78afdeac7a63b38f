package wire

import (
	"encoding/json"
	"strings"
)

func isGuardrails(d document) bool {
	return !d.list && d.hasOne("validationPassed", "validation_passed")
}

type guardrailsSpan struct{ Start, End *offset }

// parseGuardrails reads a ValidationOutcome of guardrails-ai, as its server or Python's to_dict writes it. Reasons
// and values are content.
func parseGuardrails(_, output string) (Output, error) {
	type summary struct {
		Name     string           `json:"validatorName"`
		Status   string           `json:"validatorStatus"`
		Spans    []guardrailsSpan `json:"errorSpans"`
		PyName   string           `json:"validator_name"`
		PyStatus string           `json:"validator_status"`
		PySpans  []guardrailsSpan `json:"error_spans"`
	}
	var doc struct {
		Passed      *bool     `json:"validationPassed"`
		PyPassed    *bool     `json:"validation_passed"`
		Summaries   []summary `json:"validationSummaries"`
		PySummaries []summary `json:"validation_summaries"`
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	passed := doc.Passed
	if passed == nil {
		passed = doc.PyPassed
	}
	if passed == nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "guardrails-ai", Table: "guardrails-ai"}
	for _, s := range append(doc.Summaries, doc.PySummaries...) {
		if !strings.EqualFold(s.Status+s.PyStatus, "fail") {
			continue
		}
		name := s.Name + s.PyName
		f := Finding{Native: name[strings.LastIndexByte(name, '/')+1:], Scale: scaleBoolean, Raw: "true"}
		for _, at := range append(s.Spans, s.PySpans...) {
			if len(f.Spans) < maxSpans {
				f.Spans = append(f.Spans, runes(at.Start, at.End)...)
			}
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	if !*passed && len(out.Findings) == 0 {
		out.add(yes("failed"))
	}
	return out, named(out.Findings)
}
