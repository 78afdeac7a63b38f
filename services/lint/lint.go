// Package lint has what checks of files share: problems, and SARIF to write them in.
package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is a mistake in a file.
type Problem struct {
	File string
	Line int    // 1 for the whole file
	Rule string // the name of what it breaks
	Text string // what is wrong and what to do
}

// String writes a problem as compilers do.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", p.File, p.Line, p.Text, p.Rule)
}

// Sort puts problems in the order of files and lines.
func Sort(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
}

// SARIF writes problems as a SARIF 2.1.0 log, which code hosts and editors show at the line. rules say what each rule is.
func SARIF(tool string, rules map[string]string, problems []Problem) ([]byte, error) {
	type object = map[string]any
	var list []object
	index := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		index[id] = len(list)
		list = append(list, object{"id": id, "shortDescription": object{"text": rules[id]}})
	}
	results := []object{}
	for _, p := range problems {
		results = append(results, object{
			"ruleId": p.Rule, "ruleIndex": index[p.Rule], "level": "error", "message": object{"text": p.Text},
			"locations": []object{{"physicalLocation": object{
				"artifactLocation": object{"uri": p.File}, "region": object{"startLine": p.Line},
			}}},
		})
	}
	return json.MarshalIndent(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs":    []object{{"tool": object{"driver": object{"name": tool, "rules": list}}, "results": results}},
	}, "", "  ")
}
