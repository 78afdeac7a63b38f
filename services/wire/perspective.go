package wire

import (
	"encoding/json"
	"maps"
	"slices"
)

func isPerspective(d document) bool { return d.object("attributeScores") }

// parsePerspective reads what Perspective's comments:analyze answered, until its end in 2026. Every attribute that
// was asked for is in the answer. Positions count UTF-16.
func parsePerspective(_, output string) (Output, error) {
	type score struct{ Value *float64 }
	var doc struct {
		Attributes map[string]*struct {
			Summary *score `json:"summaryScore"`
			Spans   []struct {
				Begin, End offset
				Score      score
			} `json:"spanScores"`
		} `json:"attributeScores"`
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil || len(doc.Attributes) == 0 {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "perspective", Table: "perspective"}
	for _, name := range slices.Sorted(maps.Keys(doc.Attributes)) {
		a := doc.Attributes[name]
		if a == nil || a.Summary == nil || a.Summary.Value == nil {
			return Output{}, ErrShape
		}
		f := likely(name, a.Summary.Value)
		for _, s := range a.Spans[:min(len(a.Spans), maxSpans)] {
			if !f.Clean && !likely(name, s.Score.Value).Clean {
				f.Spans = append(f.Spans, spans(Span{UTF16: pair(s.Begin, s.End)})...)
			}
		}
		out.add(f)
	}
	return out, named(out.Findings)
}
