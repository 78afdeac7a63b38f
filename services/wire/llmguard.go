package wire

import (
	"encoding/json"
	"maps"
	"slices"
)

func isLLMGuard(d document) bool { return d.object("is_valid", "scanners") }

// parseLLMGuard reads what llm-guard's API answers: a score of risk for each scanner, above 0 where it found
// something, and 0 or -1 where it did not. The sanitised text is content.
func parseLLMGuard(_, output string) (Output, error) {
	var doc struct {
		Valid    *bool `json:"is_valid"`
		Scanners map[string]*float64
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil || doc.Valid == nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "llm-guard", Table: "llm-guard"}
	for _, name := range slices.Sorted(maps.Keys(doc.Scanners)) {
		score := doc.Scanners[name]
		if score == nil {
			return Output{}, ErrShape
		}
		f := scored(name, score, "risk above the scanner's threshold")
		f.Clean = *score <= 0
		out.add(f)
	}
	if !*doc.Valid && !slices.ContainsFunc(out.Findings, func(f Finding) bool { return !f.Clean }) {
		out.add(yes("invalid"))
	}
	return out, named(out.Findings)
}
