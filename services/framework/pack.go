package framework

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/llama-mapper/llama-mapper/config"
)

// pack is a file of config/frameworks. Every label is under a control, or under none with the reason.
type pack struct {
	ID          string        `yaml:"id"`
	Name        string        `yaml:"name"`
	Edition     string        `yaml:"edition"`
	Published   string        `yaml:"published"`
	Revised     string        `yaml:"revised"` // the day we last changed the pack
	Source      string        `yaml:"source"`
	AppliesFrom string        `yaml:"applies_from"` // for controls that have no day of their own
	Controls    []packControl `yaml:"controls"`
	None        []packReason  `yaml:"none"`
}

type packControl struct {
	ID          string     `yaml:"id"`
	Title       string     `yaml:"title"`
	AppliesFrom string     `yaml:"applies_from"`
	Replaces    []string   `yaml:"replaces"`
	Edges       []packEdge `yaml:"edges"`
}

type packEdge struct {
	Labels   []string `yaml:"labels"` // exact, or PII.* for all that begin so; the more exact wins
	Relation Relation `yaml:"relation"`
	Why      string   `yaml:"why"`
	From     string   `yaml:"from"`
	To       string   `yaml:"to"`
}

type packReason struct {
	Labels []string `yaml:"labels"`
	Why    string   `yaml:"why"`
}

// Parse reads the packs in dir, *.yaml, for a taxonomy of these labels. It reports all mistakes at once.
func Parse(dir fs.FS, labels []string) (*Set, error) {
	files, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("frameworks: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("frameworks: there is no pack; give the directory that has them, *.yaml")
	}
	s := &Set{order: map[string]int{}, edges: map[string][]Edge{}, reasons: map[string][]Reason{}}
	for i, label := range labels {
		s.order[label] = i
	}
	sum, revised := sha256.New(), ""
	var errs []error
	for _, name := range files {
		raw, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("frameworks: %w", err)
		}
		sum.Write(fmt.Appendf(nil, "%s %d\n", name, len(raw)))
		sum.Write(raw)
		var p pack
		if err := config.Strict(raw, &p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		revised = max(revised, p.Revised)
		errs = append(errs, s.add(name, &p, labels))
	}
	s.version = revised + "-" + hex.EncodeToString(sum.Sum(nil)[:4])
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("frameworks: %w", err)
	}
	return s, nil
}
