package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
)

// The labels that mean something to a policy.
const (
	labelSafe    = "OTHER.Safe"    // nothing is there
	labelUnknown = "OTHER.Unknown" // something is there, and nobody knows what
)

// work is one judgment under way.
type work struct {
	p       *Policy
	e       Evidence
	counted []asked // detectors that count, by name
	shadow  []asked
	j       Judgment
}

// asked is a detector that the policy asks about such content, and what came of it.
type asked struct {
	DetectorEvidence
	policy Detector
}

// Judge says what the policy makes of evidence. Detectors that the policy does not name are left aside. It is pure: the
// same evidence, in whatever order, is judged the same.
func (p *Policy) Judge(e Evidence) Judgment {
	w := &work{p: p, e: e, j: Judgment{
		Action: api.ActionAllow, Reasons: []Reason{}, Labels: []LabelVerdict{}, NotChecked: []NotChecked{}, FailOpen: []string{}, Redact: []string{},
	}}
	w.gather()
	if !p.Takes(e.ContentType) {
		w.because(Reason{Code: ReasonContentType, Action: api.ActionUnverified})
	}
	for _, a := range w.counted {
		w.unanswered(a)
	}
	w.j.Labels = w.labels(w.counted)
	w.j.ShadowLabels = w.labels(w.shadow)
	for _, v := range w.j.Labels {
		w.label(v)
	}
	unmapped := w.unmapped()
	w.j.Outcome = w.outcome(unmapped)
	if w.j.Coverage = w.coverage(); !w.j.Coverage.Met {
		w.because(Reason{Code: ReasonCoverage, Action: api.ActionUnverified})
	}
	for _, part := range p.parts {
		w.j.fold(part.Judge(e))
	}
	w.j.tidy()
	return w.j
}

// gather finds what came of each of the policy's detectors. One of which nothing is known has not answered.
func (w *work) gather() {
	for _, name := range slices.Sorted(maps.Keys(w.p.Detectors)) {
		d := w.p.Detectors[name]
		if !d.Takes(w.e.ContentType) {
			continue
		}
		into, known := &w.counted, false
		if d.Mode == Shadow {
			into = &w.shadow
		}
		for _, e := range w.e.Detectors {
			if e.Name == name {
				*into, known = append(*into, asked{e, d}), true
			}
		}
		if !known {
			*into = append(*into, asked{DetectorEvidence{Name: name, Status: api.StatusError, Reason: "absent"}, d})
		}
	}
}

func (w *work) because(r Reason) {
	if r.Policy == "" {
		r.Policy = w.p.Name
	}
	w.j.Action = api.Stricter(w.j.Action, r.Action)
	if r.Action != api.ActionAllow {
		w.j.Reasons = append(w.j.Reasons, r)
	}
}

// unanswered applies on_error to a detector that did not answer, and notes what one that did has not looked at.
func (w *work) unanswered(a asked) {
	if left := w.e.Characters - a.Scanned; a.ok() && left > 0 {
		w.j.NotChecked = append(w.j.NotChecked, NotChecked{What: "characters", Detector: a.Name, Status: a.Status, Reason: a.Reason, Count: left})
	}
	if a.LeftOut > 0 {
		w.j.NotChecked = append(w.j.NotChecked, NotChecked{What: "findings", Detector: a.Name, Reason: "left_out", Count: a.LeftOut})
	}
	if a.ok() {
		return
	}
	w.j.NotChecked = append(w.j.NotChecked, NotChecked{What: "detector", Detector: a.Name, Status: a.Status, Reason: a.Reason})
	switch {
	case a.policy.OnError != api.ActionAllow:
		w.because(Reason{Code: ReasonDetector, Detector: a.Name, Detail: string(a.Status), Action: a.policy.OnError})
	case a.policy.Excludable && a.Status == api.StatusSkipped: // the policy says that callers may
	default:
		w.j.FailOpen = append(w.j.FailOpen, a.Name)
		if a.policy.Mode == Required {
			w.because(Reason{Code: ReasonFailOpen, Detector: a.Name, Detail: string(a.Status), Action: api.ActionUnverified})
		}
	}
}

// labels decides every label that a detector said.
func (w *work) labels(of []asked) []LabelVerdict {
	var names []string
	for _, a := range of {
		for _, f := range a.said() {
			names = append(names, f.Labels...)
		}
	}
	slices.Sort(names)
	out := []LabelVerdict{}
	for _, label := range slices.Compact(names) {
		if label != labelSafe {
			out = append(out, w.verdict(label, of))
		}
	}
	return out
}

// verdict decides one label.
func (w *work) verdict(label string, of []asked) LabelVerdict {
	v := LabelVerdict{Label: label, Action: api.ActionAllow, Detectors: []string{}}
	var votes []vote
	for _, a := range of {
		ballot, places, ok := a.vote(label)
		if !ok {
			continue
		}
		votes = append(votes, ballot)
		if ballot.said {
			v.Places += places
			v.Detectors = append(v.Detectors, a.Name)
		}
	}
	slices.SortFunc(votes, vote.compare) // a detector that is there twice comes in any order
	a := resolve(w.p.Conflict[w.e.ContentType], votes, w.p.Prefer)
	v.Holds, v.Score, v.Confidence, v.Resolution = a.holds, a.score, a.confidence, a.Resolution
	if v.Holds {
		v.Action, _, _ = w.p.decide(label, v.Score, v.Confidence)
	}
	return v
}

// said are the findings that reach their thresholds, of a detector that answered.
func (a asked) said() []Finding {
	if !a.ok() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a.Findings), func(f Finding) bool { return unit(f.Score) < a.policy.ThresholdOf(f.Native) })
}

// vote is what the detector says about a label, and at how many places; not ok if it has no say. The best of several
// findings is its vote.
func (a asked) vote(label string) (best vote, places int, ok bool) {
	if !a.ok() {
		return best, 0, false
	}
	best = vote{detector: a.Name, required: a.policy.Mode == Required, weight: a.policy.Weight, threshold: a.policy.Threshold}
	ok = slices.ContainsFunc(a.Covers, func(c string) bool { return strings.Contains(c, ".") && within(label, c) })
	first := true
	for _, f := range a.Findings {
		if !slices.Contains(f.Labels, label) {
			continue
		}
		v := best
		v.threshold, v.score, v.confidence = a.policy.ThresholdOf(f.Native), unit(f.Score), unit(f.Confidence)
		v.said = v.score >= v.threshold
		if v.said {
			places += f.Places
		}
		if first || better(v, best) {
			best = v
		}
		first, ok = false, true
	}
	return best, places, ok
}

func better(a, b vote) bool {
	if a.said != b.said {
		return a.said
	}
	return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.confidence, b.confidence), cmp.Compare(b.threshold, a.threshold)) > 0
}

// label applies what the rules say about a label that holds.
func (w *work) label(v LabelVerdict) {
	if !v.Holds {
		return
	}
	action, by, rule := w.p.decide(v.Label, v.Score, v.Confidence)
	r := Reason{Code: ReasonLabel, Policy: by, Detector: v.Winner, Label: v.Label, Action: action}
	if rule >= 0 {
		r.Rule = &rule
	}
	w.because(r)
	if action == api.ActionRedact {
		w.j.Redact = append(w.j.Redact, v.Label)
	}
}

// unmapped applies the policy's action to findings that have no name, and counts those that have not even a label.
func (w *work) unmapped() (n int) {
	for _, a := range w.counted {
		bare, unknown := 0, 0
		for _, f := range a.said() {
			switch {
			case len(f.Labels) == 0:
				bare++
			case slices.Contains(f.Labels, labelUnknown):
				unknown++
			}
		}
		if bare > 0 {
			w.j.NotChecked = append(w.j.NotChecked, NotChecked{What: "findings", Detector: a.Name, Reason: cmp.Or(w.e.MapperReason, "unmapped"), Count: bare})
		}
		if bare+unknown > 0 {
			w.because(Reason{Code: ReasonUnmapped, Detector: a.Name, Action: w.p.Unmapped})
		}
		n += bare
	}
	return n
}

func (w *work) outcome(unmapped int) api.Outcome {
	ok, whole := 0, unmapped == 0
	for _, a := range w.counted {
		if a.ok() {
			ok++
			whole = whole && a.Scanned >= w.e.Characters && (w.e.Mapped || len(a.said()) == 0)
		}
	}
	switch {
	case ok == 0:
		return api.OutcomeFailure
	case whole && ok == len(w.counted):
		return api.OutcomeSuccess
	}
	return api.OutcomePartial
}

// fold takes in what a part of the policy says by itself.
func (j *Judgment) fold(part Judgment) {
	j.Action = api.Stricter(j.Action, part.Action)
	j.Reasons = slices.DeleteFunc(j.Reasons, func(r Reason) bool {
		return slices.ContainsFunc(part.Reasons, func(o Reason) bool {
			return r.Code == o.Code && r.Detector == o.Detector && r.Label == o.Label && weaker(r.Action, o.Action) <= 0
		})
	})
	j.Reasons = append(j.Reasons, part.Reasons...)
	j.NotChecked = append(j.NotChecked, part.NotChecked...)
	j.FailOpen = append(j.FailOpen, part.FailOpen...)
	j.Redact = append(j.Redact, part.Redact...)
	if c := part.Coverage; j.Coverage.Met && !c.Met || j.Coverage.Met == c.Met && c.Value-c.Minimum < j.Coverage.Value-j.Coverage.Minimum {
		j.Coverage = c
	}
	for _, v := range part.Labels {
		i, found := slices.BinarySearchFunc(j.Labels, v.Label, byLabel)
		switch {
		case !found:
			j.Labels = slices.Insert(j.Labels, i, v)
		case weaker(j.Labels[i].Action, v.Action) < 0 || v.Holds && !j.Labels[i].Holds:
			j.Labels[i] = v
		}
	}
	j.ShadowLabels = slices.DeleteFunc(j.ShadowLabels, func(v LabelVerdict) bool {
		_, found := slices.BinarySearchFunc(j.Labels, v.Label, byLabel)
		return found
	})
}

func byLabel(v LabelVerdict, label string) int { return strings.Compare(v.Label, label) }

// tidy orders what was gathered, each once.
func (j *Judgment) tidy() {
	slices.SortFunc(j.Reasons, func(a, b Reason) int {
		return cmp.Or(weaker(b.Action, a.Action), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.Label, b.Label),
			cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.rule(), b.rule()), cmp.Compare(a.Detail, b.Detail))
	})
	j.Reasons = slices.CompactFunc(j.Reasons, func(a, b Reason) bool {
		x, y := a.rule(), b.rule()
		a.Rule, b.Rule = nil, nil
		return x == y && a == b
	})
	slices.SortFunc(j.NotChecked, func(a, b NotChecked) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.Category, b.Category), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Count, b.Count))
	})
	j.NotChecked = slices.Compact(j.NotChecked)
	for _, list := range []*[]string{&j.FailOpen, &j.Redact} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// rule is the rule's number, -1 if none is named.
func (r Reason) rule() int {
	if r.Rule == nil {
		return -1
	}
	return *r.Rule
}
