package policy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
)

// Combine puts a policy that a request chose beside the tenant's floor. Nothing is weaker than in either: each judges its
// own detectors as it would alone, both rules look at what any detector says, and the strictest answer holds. The fields
// are what detectors are run by: all detectors of both, the shorter deadline, of timeouts the longer.
func Combine(floor, chosen *Policy) *Policy {
	if floor == nil || chosen == nil || floor.Hash() == chosen.Hash() {
		if floor == nil {
			return chosen
		}
		return floor
	}
	p := &Policy{
		Name: floor.Name + "+" + chosen.Name, DeadlineMS: min(floor.DeadlineMS, chosen.DeadlineMS),
		ContentTypes: slices.DeleteFunc(slices.Clone(floor.ContentTypes), func(t api.ContentType) bool { return !chosen.Takes(t) }),
		Detectors:    maps.Clone(floor.Detectors), Conflict: maps.Clone(floor.Conflict), Prefer: floor.Prefer,
		Coverage: floor.Coverage, Unmapped: api.Stricter(floor.Unmapped, chosen.Unmapped), Shadow: floor.Shadow,
		parts: []*Policy{floor, chosen},
	}
	for name, d := range chosen.Detectors {
		if own, ok := p.Detectors[name]; ok {
			d = stricter(own, d)
		}
		p.Detectors[name] = d
	}
	for t, s := range chosen.Conflict {
		if s != p.Conflict[t] || s == TenantPreference && !slices.Equal(floor.Prefer, chosen.Prefer) {
			p.Conflict[t] = MostRestrictive
		}
	}
	if chosen.Coverage.Method == p.Coverage.Method {
		p.Coverage.Minimum = max(p.Coverage.Minimum, chosen.Coverage.Minimum)
		p.Coverage.Categories = union(p.Coverage.Categories, chosen.Coverage.Categories)
	}
	return p.made()
}

// stricter is what two policies say about one detector, of each the stricter. A timeout of 0 is the longest.
func stricter(a, b Detector) Detector {
	d := Detector{
		Mode: modes[max(slices.Index(modes, a.Mode), slices.Index(modes, b.Mode))], OnError: api.Stricter(a.OnError, b.OnError),
		Weight: max(a.Weight, b.Weight), Threshold: min(a.Threshold, b.Threshold), ContentTypes: union(a.ContentTypes, b.ContentTypes),
		Excludable: a.Excludable && b.Excludable, Excluded: a.Excluded && b.Excluded,
	}
	if a.TimeoutMS > 0 && b.TimeoutMS > 0 {
		d.TimeoutMS = max(a.TimeoutMS, b.TimeoutMS)
	}
	for _, t := range []map[string]float64{a.Thresholds, b.Thresholds} {
		for native := range t {
			if d.Thresholds == nil {
				d.Thresholds = map[string]float64{}
			}
			d.Thresholds[native] = min(a.ThresholdOf(native), b.ThresholdOf(native))
		}
	}
	return d
}

func union[T cmp.Ordered](a, b []T) []T {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Additions are what a caller asks for beside its policy.
type Additions struct {
	Required []string // detectors that must answer too
	Excluded []string // detectors that need not be asked
}

// With returns the policy with a caller's additions. The notes say what was not granted: a detector is left out only if
// it is a shadow, or if the policy says that it is excludable. It judges no evidence more mildly than the policy does.
func (p *Policy) With(a Additions) (*Policy, []string, error) {
	if len(a.Required)+len(a.Excluded) == 0 {
		return p, nil, nil
	}
	if len(a.Required)+len(a.Excluded) > api.MaxChosen {
		return nil, nil, api.Errorf(api.InvalidRequest, "name at most %d detectors to add or to leave out", api.MaxChosen)
	}
	for _, name := range slices.Concat(a.Required, a.Excluded) {
		if !nameShape.MatchString(name) {
			return nil, nil, api.Errorf(api.InvalidRequest, "a detector's name has 1 to 64 letters, digits, dots, lines and underscores")
		}
	}
	var notes []string
	out := *p
	out.Detectors, out.parts = maps.Clone(p.Detectors), []*Policy{p}
	for _, name := range a.Required {
		d, ok := out.Detectors[name]
		if !ok {
			d = Detector{Weight: 1, Threshold: defaultThreshold}
		}
		d.Mode, d.OnError, d.ContentTypes = Required, api.Stricter(d.OnError, api.ActionReview), everyType
		d.Excludable, d.Excluded = false, false
		out.Detectors[name] = d
	}
	for _, name := range a.Excluded {
		d, ok := out.Detectors[name]
		switch {
		case slices.Contains(a.Required, name):
			return nil, nil, api.Errorf(api.InvalidRequest, "a detector cannot be required and excluded; choose one")
		case !ok:
			notes = append(notes, name+" is not in the policy; there is nothing to leave out")
		case d.Mode == Shadow || d.Excludable:
			d.Excluded = true
			out.Detectors[name] = d
		default:
			notes = append(notes, name+" stays: the policy does not let it be left out")
		}
	}
	return out.made(), notes, nil
}
