package mapper

import (
	"encoding/json"
	"maps"
	"slices"
)

// SARIF writes problems as a SARIF 2.1.0 log, which code hosts and editors show at the line.
func SARIF(problems []Problem) ([]byte, error) {
	type object = map[string]any
	var rules []object
	index := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(lintRules)) {
		index[id] = len(rules)
		rules = append(rules, object{"id": id, "shortDescription": object{"text": lintRules[id]}})
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
		"runs":    []object{{"tool": object{"driver": object{"name": "llama-mapper-tables", "rules": rules}}, "results": results}},
	}, "", "  ")
}
