package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"go.yaml.in/yaml/v3"
)

// YAML is every setting in force, with secrets masked, in the form of a settings file.
func (c Config) YAML() ([]byte, error) {
	tree := map[string]any{}
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &tree, TagName: "koanf"})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	mask(tree)
	return yaml.Marshal(tree)
}

// mask puts what a Secret prints in its place.
func mask(tree map[string]any) {
	for _, key := range slices.Collect(maps.Keys(tree)) {
		switch v := tree[key].(type) {
		case Secret:
			tree[key] = v.String()
		case map[string]any:
			mask(v)
		}
	}
}
