package orchestration

import (
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/content"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// redact takes the places of labels out of the content for which the policy wants that, or something stricter: who blocks
// a secret does not want it in what is left. Findings of shadow detectors are left: they change nothing.
func (a *Answer) redact(j *job) {
	var labels []string
	for _, l := range a.Labels {
		if l.Holds && api.Stricter(api.ActionRedact, l.Action) == l.Action {
			labels = append(labels, l.Label)
		}
	}
	var out []content.Place
	for _, st := range j.steps {
		if st.rule.Mode == policy.Shadow {
			continue
		}
		for _, f := range st.found() {
			label := f.Native // of what nobody has named, which is not left in
			if named := j.named[f].labels; len(named) > 0 {
				i := slices.IndexFunc(named, func(l string) bool { return slices.Contains(labels, l) })
				if i < 0 {
					continue
				}
				label = named[i]
			} else if strength(f) < st.rule.ThresholdOf(f.Native) {
				continue
			}
			for _, p := range places(f) {
				out = append(out, content.Place{Label: label, Score: strength(f), Byte: [2]int{p.ByteStart, p.ByteEnd}})
			}
		}
	}
	text, n := content.Redact(j.req.Content, out)
	a.Redacted, a.Redactions = &text, n
}
