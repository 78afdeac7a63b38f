package mapper

import (
	"fmt"
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
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
	if err := config.Strict(raw, &doc); err != nil {
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

// IDs are the ids of the labels.
func (t *Taxonomy) IDs() []string {
	ids := make([]string, len(t.Labels))
	for i, l := range t.Labels {
		ids[i] = l.ID
	}
	return ids
}

// sort puts labels in the taxonomy's order, each once.
func (t *Taxonomy) sort(labels []string) []string {
	slices.SortFunc(labels, func(a, b string) int { return t.order[a] - t.order[b] })
	return slices.Compact(labels)
}
