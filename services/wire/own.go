package wire

import (
	"encoding/json"
	"regexp"
	"strconv"
)

func isOwn(d document) bool { return d.object("findings") }

// ownScale is a scale of 0 to a whole number.
var ownScale = regexp.MustCompile(`^0-([1-9]\d{0,3})$`)

// parseOwn reads the shape for detectors that have none: {"findings":[{"label","score","scale","start","end"}]}, of
// which the label alone must be there. Scores are 0 to 1, or of the scale that is named: probability, percent, 0-N.
// Positions count code points.
func parseOwn(_, output string) (Output, error) {
	var doc struct {
		Findings []struct {
			Label      string
			Score      *float64
			Scale      string
			Start, End *offset
		}
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil || doc.Findings == nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "own"}
	for _, r := range doc.Findings {
		most, scale := 1.0, scaleProbability
		switch m := ownScale.FindStringSubmatch(r.Scale); {
		case r.Scale == "", r.Scale == scaleProbability:
		case r.Scale == "percent":
			most, scale = 100, r.Scale
		case m != nil:
			most, _ = strconv.ParseFloat(m[1], 64)
			scale = "severity 0 to " + m[1]
		default:
			return Output{}, ErrScale
		}
		f := Finding{Native: r.Label, Clean: clean[plain(r.Label)], Spans: runes(r.Start, r.End)}
		if r.Score != nil {
			if *r.Score < 0 || *r.Score > most {
				return Output{}, ErrScale
			}
			f.Score, f.Scale, f.Raw = clamp(r.Score, most), scale, number(*r.Score)
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}
