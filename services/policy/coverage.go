package policy

import (
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
)

// Method says what coverage is a share of. Shadow detectors, and those that are not asked about content of this type,
// are in none. Where no detector is required, all count.
type Method string

// The methods.
const (
	RequiredSet      Method = "REQUIRED_SET"      // required detectors that answered, of the required ones
	WeightedCoverage Method = "WEIGHTED_COVERAGE" // the weight of detectors that answered, of the weight of all
	TaxonomyCoverage Method = "TAXONOMY_COVERAGE" // the policy's categories that detectors which answered cover, of all of them
	Characters       Method = "CHARACTERS"        // characters that every required detector scanned, of all: the least share
)

var methods = []Method{RequiredSet, WeightedCoverage, TaxonomyCoverage, Characters}

// Coverage says how much was checked.
type Coverage struct {
	Method  Method  `json:"method"`
	Value   float64 `json:"value"`
	Minimum float64 `json:"minimum"`
	Met     bool    `json:"met"`
}

// coverage measures how much was checked, and lists categories that were not.
func (w *work) coverage() Coverage {
	rule := w.p.Coverage
	c := Coverage{Method: rule.Method, Minimum: rule.Minimum}
	switch rule.Method {
	case WeightedCoverage:
		c.Value = share(w.counted, func(a asked) float64 { return a.policy.Weight })
	case TaxonomyCoverage:
		c.Value = w.categories(rule.Categories)
	case Characters:
		c.Value = w.characters()
	default:
		c.Value = share(w.needed(), func(asked) float64 { return 1 })
	}
	c.Met = c.Value >= c.Minimum-1e-9
	return c
}

// needed are the required detectors; all, where none is.
func (w *work) needed() []asked {
	required := slices.DeleteFunc(slices.Clone(w.counted), func(a asked) bool { return a.policy.Mode != Required })
	if len(required) == 0 {
		return w.counted
	}
	return required
}

// share of those that answered; none of none.
func share(of []asked, weight func(asked) float64) float64 {
	var ok, all float64
	for _, a := range of {
		all += weight(a)
		if a.ok() {
			ok += weight(a)
		}
	}
	if all == 0 {
		return 0
	}
	return ok / all
}

func (w *work) categories(wanted []string) float64 {
	hit := 0
	for _, category := range wanted {
		if slices.ContainsFunc(w.counted, func(a asked) bool {
			return a.ok() && slices.ContainsFunc(a.Covers, func(c string) bool { return within(category, c) })
		}) {
			hit++
			continue
		}
		w.j.NotChecked = append(w.j.NotChecked, NotChecked{What: "category", Category: category, Reason: "no_detector"})
	}
	if len(wanted) == 0 {
		return 0
	}
	return float64(hit) / float64(len(wanted))
}

func (w *work) characters() float64 {
	least := 1.0
	for _, a := range w.needed() {
		switch {
		case !a.ok():
			return 0
		case w.e.Characters > 0:
			least = min(least, float64(a.Scanned)/float64(w.e.Characters))
		}
	}
	if len(w.counted) == 0 {
		return 0
	}
	return unit(least)
}

// ok says whether a detector answered.
func (a asked) ok() bool { return a.Status == api.StatusOK }
