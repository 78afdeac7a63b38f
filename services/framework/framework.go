// Package framework knows which controls of which compliance frameworks a canonical label concerns. The knowledge
// is data, one pack for each framework in config/frameworks; this package reads the packs strictly and answers from
// them. It judges nobody: that a label concerns a control does not say that the control is met or failed.
package framework

import (
	"slices"
	"time"
)

// Relation says what a finding means to a control.
type Relation string

// The relations, strongest first.
const (
	Violates  Relation = "violates"  // in an output, the finding would itself be a breach of the control
	Detects   Relation = "detects"   // the control, or the risk it names, is about noticing this: the detector is a part of its operation
	Evidences Relation = "evidences" // the record of the finding helps to show that the control operates
)

// Edge leads from labels to a control. It is one entry of a pack, with those of its labels that were asked for.
type Edge struct {
	Framework string   `json:"framework"` // its id: SOC2
	Edition   string   `json:"edition"`
	Control   string   `json:"control"` // its id in the framework's own numbering: CC7.2
	Title     string   `json:"title"`   // in our words, not the framework's
	Relation  Relation `json:"relation"`
	Rationale string   `json:"rationale"`
	Labels    []string `json:"labels"`         // in the taxonomy's order
	From      string   `json:"from,omitempty"` // the first day it holds, YYYY-MM-DD; empty: always did
	To        string   `json:"to,omitempty"`   // the last day it holds; empty: no end is known
	place     int      // in the order of the packs; no two edges share one
}

// ID names the control among those of all frameworks: SOC2:CC7.2.
func (e Edge) ID() string { return e.Framework + ":" + e.Control }

// holds says whether the edge is valid on a day, YYYY-MM-DD.
func (e Edge) holds(day string) bool { return e.From <= day && (e.To == "" || day <= e.To) }

// Reason says why a label concerns no control of a framework.
type Reason struct {
	Framework string `json:"framework"`
	Why       string `json:"why"`
}

// Control is one requirement, criterion, technique or risk of a framework.
type Control struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	AppliesFrom string   `json:"applies_from,omitempty"` // the first day it binds, YYYY-MM-DD
	Replaces    []string `json:"replaces,omitempty"`     // the ids of the edition before that it took the place of
}

// Framework is a law, a standard or a catalogue, with those of its controls that a label can concern.
type Framework struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Edition   string    `json:"edition"`
	Published string    `json:"published"` // YYYY, YYYY-MM or YYYY-MM-DD
	Source    string    `json:"source"`    // a page of the body that issued it
	Controls  []Control `json:"controls"`
}

// Set is all packs. It does not change, so any number of goroutines may ask it.
type Set struct {
	version    string
	frameworks []Framework
	order      map[string]int // a label's place in the taxonomy
	edges      map[string][]Edge
	reasons    map[string][]Reason
	places     int // edges so far
}

// Version names the packs together: the day of the last revision, and a hash of all they say.
func (s *Set) Version() string { return s.version }

// Frameworks lists the frameworks by id.
func (s *Set) Frameworks() []Framework {
	all := slices.Clone(s.frameworks)
	for i := range all {
		all[i].Controls = slices.Clone(all[i].Controls)
	}
	return all
}

// Controls lists what concerns a label at a time: the frameworks by id, their controls in their own order.
func (s *Set) Controls(label string, at time.Time) []Edge { return s.Merge([]string{label}, at) }

// Merge lists what concerns any of the labels at a time, each edge once. A label that is not known concerns nothing.
func (s *Set) Merge(labels []string, at time.Time) []Edge {
	day := at.UTC().Format(time.DateOnly)
	labels = slices.DeleteFunc(slices.Clone(labels), func(label string) bool { return s.edges[label] == nil })
	slices.SortFunc(labels, func(a, b string) int { return s.order[a] - s.order[b] })
	var merged []Edge
	seen := make([]int, s.places+1) // by an edge's place: its index in merged, and one
	for _, label := range slices.Compact(labels) {
		for _, e := range s.edges[label] {
			if !e.holds(day) {
				continue
			}
			if seen[e.place] == 0 {
				merged = append(merged, e)
				seen[e.place] = len(merged)
			}
			m := &merged[seen[e.place]-1]
			m.Labels = append(m.Labels, label)
		}
	}
	slices.SortFunc(merged, func(a, b Edge) int { return a.place - b.place })
	return merged
}

// Unmapped says for each framework that never concerns the label why it does not.
func (s *Set) Unmapped(label string) []Reason { return slices.Clone(s.reasons[label]) }

// Current lists the controls that took the place of an id of the framework's edition before: A.12.4.1 of ISO27001.
func (s *Set) Current(framework, old string) []string {
	var ids []string
	for _, f := range s.frameworks {
		for _, c := range f.Controls {
			if f.ID == framework && slices.Contains(c.Replaces, old) {
				ids = append(ids, c.ID)
			}
		}
	}
	return ids
}
