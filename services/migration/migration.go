// Package migration says what today's labels are called in the taxonomy before, for clients that still speak it.
package migration

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llama-mapper/llama-mapper/config"
)

// Table leads from a taxonomy back to the one before. It does not change, so any number of goroutines may ask it.
type Table struct {
	From string // today's taxonomy: 2026.11
	To   string // the one before: 2025.09
	old  map[string]string
	rank map[string]int // an old label's place in its taxonomy
}

// document is config/migrations/*.yaml. It names the labels that are new; the others are called the same.
type document struct {
	From   string  `yaml:"from"`
	To     string  `yaml:"to"`
	Labels []entry `yaml:"labels"`
}

type entry struct {
	Label string `yaml:"label"`
	Old   string `yaml:"old"`
	Why   string `yaml:"why"`
}

// Parse reads a table between these labels, both in their taxonomy's order. It reports all mistakes at once.
func Parse(raw []byte, oldLabels, newLabels []string) (*Table, error) {
	var d document
	if err := config.Strict(raw, &d); err != nil {
		return nil, fmt.Errorf("migration: %w", err)
	}
	t := &Table{From: d.From, To: d.To, old: map[string]string{}, rank: map[string]int{}}
	var errs []error
	mistake := func(format string, args ...any) { errs = append(errs, fmt.Errorf("migration: "+format, args...)) }
	if d.From == "" || d.To == "" || d.From == d.To {
		mistake("from %q and to %q must be the versions of two taxonomies", d.From, d.To)
	}
	for i, label := range oldLabels {
		t.rank[label] = i
		t.old[label] = label
		if !slices.Contains(newLabels, label) {
			mistake("%s of the old taxonomy is gone from the new one; keep it, for its meaning must stay", label)
		}
	}
	for _, e := range d.Labels {
		_, kept := t.rank[e.Label]
		_, known := t.rank[e.Old]
		switch {
		case kept:
			mistake("%s: the old taxonomy has it, so it keeps its name; remove the entry", e.Label)
		case !slices.Contains(newLabels, e.Label):
			mistake("%s: it is not in the new taxonomy; correct or remove it", e.Label)
		case t.old[e.Label] != "":
			mistake("%s: it is there twice; remove one", e.Label)
		case !known:
			mistake("%s: old: %q is not in the old taxonomy; choose one of its labels", e.Label, e.Old)
		case e.Why == "":
			mistake("%s: why: it is empty; say why this is the nearest", e.Label)
		}
		t.old[e.Label] = e.Old
	}
	for _, label := range newLabels {
		if _, ok := t.old[label]; !ok {
			mistake("%s has no old label; add it", label)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Old is what a label is called in the taxonomy before. It is lossy if that says less, or something near. The old
// label is empty for what is no label of either taxonomy.
func (t *Table) Old(label string) (old string, lossy bool) {
	old = t.old[label]
	return old, old != "" && old != label
}

// Labels calls all labels by their old names, each once and in the old taxonomy's order.
func (t *Table) Labels(labels []string) (old []string, lossy bool) {
	for _, label := range labels {
		name, less := t.Old(label)
		lossy = lossy || less
		if name != "" {
			old = append(old, name)
		}
	}
	slices.SortFunc(old, func(a, b string) int { return t.rank[a] - t.rank[b] })
	return slices.Compact(old), lossy
}
