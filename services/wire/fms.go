package wire

import "encoding/json"

// fmsRow is one detection of the detector API of the FMS guardrails orchestrator. Its text and evidence are content.
type fmsRow struct {
	Detection  *string
	Type       *string `json:"detection_type"`
	Score      *float64
	Start, End *offset
}

func isFMS(d document) bool {
	if d.object("detections") {
		var rows []json.RawMessage
		return json.Unmarshal(d.members["detections"], &rows) == nil
	}
	return d.list && !d.empty && d.has("detection_type")
}

// parseFMS reads a detector's list of detections, its list of lists for several contents, or the orchestrator's
// detections. A detection that is a bare verdict, such as Yes, goes by its type. Positions count code points.
func parseFMS(_, output string) (Output, error) {
	var rows []fmsRow
	texts := 1
	var err error
	if output[0] == '{' {
		var doc struct{ Detections []fmsRow }
		err = json.Unmarshal([]byte(output), &doc)
		rows = doc.Detections
	} else {
		rows, texts, err = rowsOf[fmsRow](output)
	}
	if err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "fms", Fallback: "fms-detectors"}
	for _, r := range rows {
		if r.Type == nil {
			return Output{}, ErrShape
		}
		f := scored(*r.Type, r.Score, scaleProbability)
		if r.Detection != nil {
			switch words := plain(*r.Detection); {
			case clean[words]:
				if f.Clean = true; f.Raw == "" {
					f.Scale, f.Raw = scaleBoolean, "no"
				}
			case !bare[words] && words != "unsafe" && nameShape.MatchString(*r.Detection):
				f.Native = *r.Detection
			}
		}
		if texts == 1 {
			f.Spans = runes(r.Start, r.End)
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}
