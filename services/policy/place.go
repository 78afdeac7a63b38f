package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nodes reads a document again, for its lines.
func nodes(raw []byte) *yaml.Node {
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil || len(root.Content) == 0 {
		return &yaml.Node{Line: 1}
	}
	return root.Content[0]
}

// line is where a member is, or else the innermost that it would be in.
func line(root *yaml.Node, place ...any) int { return max(find(root, place...).Line, 1) }

// find returns a member, or else the innermost that it would be in.
func find(at *yaml.Node, place ...any) *yaml.Node {
	for _, step := range place {
		next := member(at, step)
		if next == nil {
			break
		}
		at = next
	}
	return at
}

func member(at *yaml.Node, step any) *yaml.Node {
	for at.Kind == yaml.AliasNode {
		at = at.Alias
	}
	switch step := step.(type) {
	case int:
		if at.Kind == yaml.SequenceNode && step < len(at.Content) {
			return at.Content[step]
		}
	case string:
		for i := 0; at.Kind == yaml.MappingNode && i+1 < len(at.Content); i += 2 {
			if at.Content[i].Value == step {
				return at.Content[i+1]
			}
		}
	}
	return nil
}

// path writes a place: rules[2].labels[0].
func path(place []any) string {
	var b strings.Builder
	for _, step := range place {
		if i, ok := step.(int); ok {
			fmt.Fprintf(&b, "[%d]", i)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%.64s", step)
	}
	return b.String()
}
