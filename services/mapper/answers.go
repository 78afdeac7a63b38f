package mapper

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// Answers checks that what a checkpoint can answer is this taxonomy: its version and, for codec code, that every
// label has a code of its own. The error lists every mistake.
func (t *Taxonomy) Answers(m *checkpoint.Manifest) error {
	if m.IsGuard() {
		return errors.New("it is a guard, which answers no labels (codec.type verdict); name it in guard.model_paths")
	}
	var errs []error
	if m.Taxonomy != t.Version {
		errs = append(errs, fmt.Errorf("it answers with taxonomy %q, this program has %q", m.Taxonomy, t.Version))
	}
	if m.Codec.Type != "code" {
		return errors.Join(errs...)
	}
	var without, foreign []string
	owner := map[string]string{}
	for _, label := range t.Labels {
		code := m.Codec.Codes[label.ID]
		switch other, taken := owner[code]; {
		case code == "":
			without = append(without, label.ID)
		case taken:
			errs = append(errs, fmt.Errorf("codec.codes: %s and %s both have %q", other, label.ID, code))
		}
		owner[code] = label.ID
	}
	for label := range m.Codec.Codes {
		if _, known := t.order[label]; !known {
			foreign = append(foreign, label)
		}
	}
	slices.Sort(foreign)
	if len(without) > 0 {
		errs = append(errs, fmt.Errorf("codec.codes lacks %d of the taxonomy's %d labels: %s", len(without), len(t.Labels), strings.Join(without, ", ")))
	}
	if len(foreign) > 0 {
		errs = append(errs, fmt.Errorf("codec.codes has what the taxonomy has not: %s", strings.Join(foreign, ", ")))
	}
	return errors.Join(errs...)
}
