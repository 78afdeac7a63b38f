package wire

import (
	"encoding/json"
	"slices"
	"strings"
)

// lakeraLevels are the levels of a result, most certain first.
var lakeraLevels = map[string]float64{"l1_confident": 1, "l2_very_likely": 0.8, "l3_likely": 0.6, "l4_less_likely": 0.4, "l5_unlikely": 0.2}

const lakeraScale = "level 5 to 1"

type lakeraRow struct {
	Type       string `json:"detector_type"`
	Detected   *bool
	Result     string
	Start, End *offset
}

func isLakera(d document) bool {
	if d.object("results") {
		return strings.Contains(string(d.members["results"]), `"detector_type"`)
	}
	return d.object("flagged") && d.hasOne("breakdown", "payload", "metadata", "dev_info")
}

// parseLakera reads what Lakera Guard's v2/guard answers, with or without a breakdown and a payload, and what
// v2/guard/results does, which has levels and no verdict: there likely and more counts.
func parseLakera(_, output string) (Output, error) {
	var doc struct {
		Flagged   *bool
		Breakdown []lakeraRow
		Results   []lakeraRow
		Payload   []lakeraRow
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil || doc.Flagged == nil && doc.Results == nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "lakera", Table: "lakera-guard"}
	for _, r := range slices.Concat(doc.Breakdown, doc.Results) {
		f := worded(r.Type, strings.ToLower(r.Result), lakeraLevels, lakeraScale)
		switch {
		case r.Detected != nil && *r.Detected:
		case r.Detected == nil && f.Score == nil:
			return Output{}, ErrShape
		case r.Detected == nil && *f.Score > 0.5:
		default:
			continue
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	for _, r := range doc.Payload {
		if out.add(Finding{Native: r.Type, Spans: runes(r.Start, r.End)}); out.full() {
			return Output{}, ErrTooMany
		}
	}
	if isTrue(doc.Flagged) && len(out.Findings) == 0 {
		out.add(yes("flagged"))
	}
	return out, named(out.Findings)
}
