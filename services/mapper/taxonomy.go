package mapper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/api"
)

// Taxonomy is the canonical labels in their order.
type Taxonomy struct {
	Version        string
	CompatibleWith []string
	Labels         []api.Label
	order          map[string]int
}

// The labels that the mapper itself gives.
const (
	labelSafe    = "OTHER.Safe"
	labelUnknown = "OTHER.Unknown"
)

// ParseTaxonomy reads config/taxonomy.yaml.
func ParseTaxonomy(raw []byte) (*Taxonomy, error) {
	var doc struct {
		Version        string   `yaml:"version"`
		CompatibleWith []string `yaml:"compatible_with"`
		Labels         []struct {
			ID    string `yaml:"id"`
			Text  string `yaml:"text"`
			Since string `yaml:"since"`
		} `yaml:"labels"`
	}
	if err := strict(raw, &doc); err != nil {
		return nil, fmt.Errorf("taxonomy: %w", err)
	}
	t := &Taxonomy{Version: doc.Version, CompatibleWith: doc.CompatibleWith, order: map[string]int{}}
	for _, l := range doc.Labels {
		if _, twice := t.order[l.ID]; twice {
			return nil, fmt.Errorf("taxonomy: %s is there twice", l.ID)
		}
		t.order[l.ID] = len(t.Labels)
		since := l.Since
		if since == "" {
			since = "2025.09"
		}
		t.Labels = append(t.Labels, api.Label{ID: l.ID, Text: l.Text, Since: since})
	}
	for _, needed := range []string{labelSafe, labelUnknown} {
		if _, ok := t.order[needed]; !ok {
			return nil, fmt.Errorf("taxonomy: it lacks %s", needed)
		}
	}
	return t, nil
}

// sort puts labels in the taxonomy's order, each once.
func (t *Taxonomy) sort(labels []string) []string {
	slices.SortFunc(labels, func(a, b string) int { return t.order[a] - t.order[b] })
	return slices.Compact(labels)
}

func strict(raw []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	return d.Decode(into)
}

// table says what one detector's labels mean.
type table struct {
	Detector string              `yaml:"detector"`
	Version  string              `yaml:"version"`
	Taxonomy string              `yaml:"taxonomy"`
	Aliases  []string            `yaml:"aliases"`
	Notes    string              `yaml:"notes"`
	Maps     map[string][]string `yaml:"maps"` // native label, in any case, to canonical labels
}

// id is the table's name and version, as answers report it.
func (t *table) id() string { return t.Detector + "@" + t.Version }

// Tables are the versioned tables of the detectors that are known.
type Tables map[string]*table // by detector and alias, in lower case

// ParseTables reads config/detectors/*.yaml and holds every label to the taxonomy.
func ParseTables(dir fs.FS, taxonomy *Taxonomy) (Tables, error) {
	files, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	all := Tables{}
	var errs []error
	for _, name := range files {
		raw, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		t := &table{}
		if err := strict(raw, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		errs = append(errs, t.check(name, taxonomy))
		for _, key := range append(t.Aliases, t.Detector) {
			if all[key] != nil || key != strings.ToLower(key) {
				errs = append(errs, fmt.Errorf("%s: %s is taken, or not in lower case", name, key))
			}
			all[key] = t
		}
	}
	return all, errors.Join(errs...)
}

// check holds the labels to the taxonomy and folds the case of the native ones.
func (t *table) check(name string, taxonomy *Taxonomy) error {
	var errs []error
	if t.Taxonomy != taxonomy.Version {
		errs = append(errs, fmt.Errorf("%s: it is for taxonomy %s, not %s", name, t.Taxonomy, taxonomy.Version))
	}
	folded := make(map[string][]string, len(t.Maps))
	for native, labels := range t.Maps {
		for _, label := range labels {
			if _, ok := taxonomy.order[label]; !ok {
				errs = append(errs, fmt.Errorf("%s: %s: %s is not in the taxonomy", name, native, label))
			}
		}
		if len(labels) == 0 || folded[strings.ToLower(native)] != nil {
			errs = append(errs, fmt.Errorf("%s: %s has no label, or is there twice", name, native))
		}
		folded[strings.ToLower(native)] = labels
	}
	t.Maps = folded
	return errors.Join(errs...)
}
