package orchestration

import (
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/content"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// locate lists the places of what counts: findings that reach their thresholds, of detectors that are no shadows, under
// labels that hold or, where nobody has named them, the detector's own word.
func (a *Answer) locate(j *job) []content.Place {
	var all []content.Place
	for _, st := range j.steps {
		if st.rule.Mode == policy.Shadow {
			continue
		}
		for _, f := range st.found() {
			if strength(f) < st.rule.ThresholdOf(f.Native) {
				continue
			}
			labels := []string{f.Native}
			if named := j.named[f].labels; len(named) > 0 {
				labels = slices.DeleteFunc(slices.Clone(named), func(l string) bool { v := a.verdict(l); return v == nil || !v.Holds })
			}
			for _, p := range places(f) {
				for _, label := range labels {
					all = append(all, content.Place{
						Label: label, Score: strength(f), Byte: [2]int{p.ByteStart, p.ByteEnd}, Rune: [2]int{p.Start, p.End}, By: []string{st.name},
					})
				}
			}
		}
	}
	return content.Dedupe(all)
}

// verdict is what was made of a label; nil if nothing was.
func (a *Answer) verdict(label string) *policy.LabelVerdict {
	for i := range a.Labels {
		if a.Labels[i].Label == label {
			return &a.Labels[i]
		}
	}
	return nil
}

// mark fills in the spans and, if that was asked for, takes out of the content those for which the policy wants it, or
// something stricter: who blocks a secret does not want it in what is left. What nobody has named is not left either.
func (a *Answer) mark(j *job) {
	found := a.locate(j)
	a.Spans = make([]Span, len(found))
	for i, p := range found {
		a.Spans[i] = Span{Label: p.Label, Place: Place{Start: p.Rune[0], End: p.Rune[1], ByteStart: p.Byte[0], ByteEnd: p.Byte[1]}, Score: p.Score, Detectors: p.By}
	}
	if !j.req.Redact {
		return
	}
	text, n := content.Redact(j.req.Content, slices.DeleteFunc(found, func(p content.Place) bool {
		v := a.verdict(p.Label)
		return v != nil && api.Stricter(api.ActionRedact, v.Action) != v.Action
	}))
	a.Redacted, a.Redactions = &text, n
}
