package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Direction says whether a change makes a policy stricter.
type Direction string

// The directions.
const (
	Stricter Direction = "stricter"
	Weaker   Direction = "weaker"
	Changed  Direction = "changed" // neither, or it depends
)

// Change is one difference of two policies.
type Change struct {
	Place     string    `json:"place"` // detectors.pii.threshold, or labels.PII.Contact.Email
	From      string    `json:"from"`
	To        string    `json:"to"`
	Direction Direction `json:"direction"`
}

// Diff says how b differs from a. labels are the taxonomy's: rules differ if some label's action does.
func Diff(a, b *Policy, labels []string) []Change {
	d := &differ{}
	d.value("deadline_ms", a.DeadlineMS, b.DeadlineMS, 0)
	d.value("content_types", a.ContentTypes, b.ContentTypes, 0)
	d.value("unmapped", a.Unmapped, b.Unmapped, weaker(a.Unmapped, b.Unmapped))
	d.value("conflict", a.Conflict, b.Conflict, 0)
	d.value("prefer", a.Prefer, b.Prefer, 0)
	d.value("coverage.method", a.Coverage.Method, b.Coverage.Method, 0)
	d.value("coverage.minimum", a.Coverage.Minimum, b.Coverage.Minimum, cmp.Compare(a.Coverage.Minimum, b.Coverage.Minimum))
	d.value("coverage.categories", a.Coverage.Categories, b.Coverage.Categories, 0)
	d.value("shadow.policy", a.Shadow.Policy, b.Shadow.Policy, 0)
	for _, name := range slices.Sorted(maps.Keys(b.Detectors)) {
		if _, ok := a.Detectors[name]; !ok {
			d.value("detectors."+name, "", b.Detectors[name].Mode, -1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Detectors)) {
		if to, ok := b.Detectors[name]; ok {
			d.detector("detectors."+name, a.Detectors[name], to)
		} else {
			d.value("detectors."+name, a.Detectors[name].Mode, "", 1)
		}
	}
	d.labels(a, b, labels)
	if !slices.Equal(a.Programs(), b.Programs()) {
		d.changes = append(d.changes, Change{"rego", size(a), size(b), Changed})
	}
	return d.changes
}

type differ struct{ changes []Change }

// value notes a change. order is below 0 if b is the stricter, above if a is.
func (d *differ) value(place string, a, b any, order int) {
	from, to := text(a), text(b)
	if from == to {
		return
	}
	direction := Changed
	switch {
	case order < 0:
		direction = Stricter
	case order > 0:
		direction = Weaker
	}
	d.changes = append(d.changes, Change{place, from, to, direction})
}

func (d *differ) detector(place string, a, b Detector) {
	d.value(place+".mode", a.Mode, b.Mode, cmp.Compare(slices.Index(modes, a.Mode), slices.Index(modes, b.Mode)))
	d.value(place+".on_error", a.OnError, b.OnError, weaker(a.OnError, b.OnError))
	d.value(place+".weight", a.Weight, b.Weight, 0)
	d.value(place+".threshold", a.Threshold, b.Threshold, cmp.Compare(b.Threshold, a.Threshold))
	for _, native := range slices.Sorted(maps.Keys(stricter(a, b).Thresholds)) {
		d.value(place+".thresholds."+native, a.ThresholdOf(native), b.ThresholdOf(native), cmp.Compare(b.ThresholdOf(native), a.ThresholdOf(native)))
	}
	d.value(place+".timeout_ms", a.TimeoutMS, b.TimeoutMS, 0)
	d.value(place+".content_types", a.ContentTypes, b.ContentTypes, cmp.Compare(len(a.ContentTypes), len(b.ContentTypes)))
	if a.Excludable != b.Excludable {
		d.value(place+".excludable", a.Excludable, b.Excludable, map[bool]int{true: 1, false: -1}[b.Excludable])
	}
}

// labels compares what the rules do with each label, at every score and confidence from which a rule is for it.
func (d *differ) labels(a, b *Policy, labels []string) {
	scores, confidences := []float64{0, 1}, []float64{0, 1}
	for _, r := range slices.Concat(a.rules(), b.rules()) {
		scores, confidences = append(scores, r.MinScore), append(confidences, r.MinConfidence)
	}
	scores, confidences = union(scores, nil), union(confidences, nil)
	for _, label := range labels {
		up, down := false, false
		for _, score := range scores {
			for _, confidence := range confidences {
				from, _, _ := a.decide(label, score, confidence)
				to, _, _ := b.decide(label, score, confidence)
				up, down = up || weaker(from, to) < 0, down || weaker(from, to) > 0
			}
		}
		from, _, _ := a.decide(label, 1, 1)
		to, _, _ := b.decide(label, 1, 1)
		c := Change{"labels." + label, string(from), string(to), Changed}
		switch {
		case !up && !down:
			continue
		case up && !down:
			c.Direction = Stricter
		case down && !up:
			c.Direction = Weaker
		}
		if from == to {
			c.To += ", but not at every score"
		}
		d.changes = append(d.changes, c)
	}
}

// rules are all rules of the policy and of what it was combined from.
func (p *Policy) rules() (all []Rule) {
	for _, part := range p.parts {
		all = append(all, part.rules()...)
	}
	return append(all, p.Rules...)
}

// text writes a value; nothing, for none.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// size of a policy's programs.
func size(p *Policy) string {
	n := 0
	for _, program := range p.Programs() {
		n += len(program)
	}
	return fmt.Sprintf("%d bytes", n)
}
