package mapper

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// table says what one detector's labels mean.
type table struct {
	Detector string         `yaml:"detector"`
	Version  string         `yaml:"version"`
	Taxonomy string         `yaml:"taxonomy"`
	Aliases  []string       `yaml:"aliases"`
	Notes    string         `yaml:"notes"`
	Maps     map[string]row `yaml:"maps"` // native label, in any case, to canonical labels; one * stands for any name
	patterns []pattern      // the rows with a *, the longest first
}

// id is the table's name and version, as answers report it.
func (t *table) id() string { return t.Detector + "@" + t.Version }

// row is what a native label means: canonical labels, or labels from a level on. Levels are of the vendor's own
// numbers; below the first there is nothing. A label that comes without a number is taken at the highest.
type row struct {
	Labels []string
	levels []step // in ascending order; nil if the level does not matter
}

type step struct {
	least  float64
	labels []string
}

// UnmarshalYAML reads a list of labels, or a map of levels to such lists.
func (r *row) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return node.Decode(&r.Labels)
	}
	levels := map[float64][]string{}
	if err := node.Decode(&levels); err != nil {
		return err
	}
	for least, labels := range levels {
		r.levels = append(r.levels, step{least, labels})
	}
	slices.SortFunc(r.levels, func(a, b step) int { return cmp.Compare(a.least, b.least) })
	if n := len(r.levels); n > 0 {
		r.Labels = r.levels[n-1].labels // of a label that comes without a level
	}
	return nil
}

// all lists every label of the row.
func (r row) all() []string {
	if r.levels == nil {
		return r.Labels
	}
	var all []string
	for _, l := range r.levels {
		all = append(all, l.labels...)
	}
	return all
}

// empty says whether the row, or one of its levels, has no label.
func (r row) empty() bool {
	return len(r.Labels) == 0 || slices.ContainsFunc(r.levels, func(l step) bool { return len(l.labels) == 0 })
}

// at returns the labels of a finding.
func (r row) at(f wire.Finding) []string {
	value, err := strconv.ParseFloat(f.Raw, 64)
	if r.levels == nil || err != nil {
		return r.Labels
	}
	labels := []string{labelSafe}
	for _, l := range r.levels {
		if value >= l.least {
			labels = l.labels
		}
	}
	return labels
}

// pattern is a row for an open list of names: US_*, *_PASSPORT, DOCUMENT_TYPE/*.
type pattern struct {
	before, after string
	row           row
}

// filler is what a * may stand for: a name, not words.
var filler = regexp.MustCompile(`^[a-z0-9_/.:&-]{0,64}$`)

func (p pattern) matches(native string) bool {
	return len(native) >= len(p.before)+len(p.after) && strings.HasPrefix(native, p.before) && strings.HasSuffix(native, p.after) &&
		filler.MatchString(native[len(p.before):len(native)-len(p.after)])
}

// find returns the row of a native label: the one of that name, else that of the pattern with most letters.
func (t *table) find(native string) (row, bool) {
	native = strings.ToLower(native)
	if r, ok := t.Maps[native]; ok {
		return r, true
	}
	for _, p := range t.patterns {
		if p.matches(native) {
			return p.row, true
		}
	}
	return row{}, false
}

// Tables are the versioned tables of the detectors that are known.
type Tables map[string]*table // by detector and alias, in lower case

// of returns the table for an output: the one that the format asks for, else the detector's own, else the format's
// for detectors without one; nil if there is none.
func (t Tables) of(detector string, out wire.Output) *table {
	if out.Table != "" {
		return t[out.Table]
	}
	if own := t[strings.ToLower(detector)]; own != nil {
		return own
	}
	return t[out.Fallback]
}

// lookup returns the labels of a finding, nil if there are none, and the table that has them; t is the output's table,
// and fallback the one for what it does not know. The detector's own word for clean needs no table, only leave to use
// one; a label of which the detector says that it is not there is never worth a question.
func (all Tables) lookup(t *table, fallback string, f wire.Finding, modelOnly bool) ([]string, *table) {
	switch {
	case f.Clean && (!modelOnly || f.Absent()):
		return []string{labelSafe}, nil
	case modelOnly:
		return nil, nil
	case f.Table != "":
		t, fallback = all[f.Table], ""
	}
	for _, t := range []*table{t, all[fallback]} {
		if t == nil {
			continue
		}
		if r, ok := t.find(f.Native); ok {
			return r.at(f), t
		}
	}
	return nil, nil
}

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
		if err := config.Strict(raw, t); err != nil {
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

// check holds the labels to the taxonomy, folds the case of the native ones and sets the patterns apart.
func (t *table) check(name string, taxonomy *Taxonomy) error {
	var errs []error
	if t.Taxonomy != taxonomy.Version {
		errs = append(errs, fmt.Errorf("%s: it is for taxonomy %s, not %s", name, t.Taxonomy, taxonomy.Version))
	}
	folded := make(map[string]row, len(t.Maps))
	for native, r := range t.Maps {
		for _, label := range r.all() {
			if _, ok := taxonomy.order[label]; !ok {
				errs = append(errs, fmt.Errorf("%s: %s: %s is not in the taxonomy", name, native, label))
			}
		}
		key := strings.ToLower(native)
		if _, twice := folded[key]; twice || r.empty() {
			errs = append(errs, fmt.Errorf("%s: %s has no label, or is there twice", name, native))
		}
		folded[key] = r
		if before, after, ok := strings.Cut(key, "*"); ok {
			t.patterns = append(t.patterns, pattern{before, after, r})
		}
	}
	slices.SortFunc(t.patterns, func(a, b pattern) int {
		if n := len(b.before) + len(b.after) - len(a.before) - len(a.after); n != 0 {
			return n
		}
		return strings.Compare(b.before+"*"+b.after, a.before+"*"+a.after)
	})
	t.Maps = folded
	return errors.Join(errs...)
}
