package wire

import (
	"encoding/json"
	"slices"
)

func isPresidio(d document) bool {
	return d.rows("entity_type") || d.object("items") && d.has("text")
}

// entity is one result of Presidio's analyzer, image analyzer or anonymizer.
type entity struct {
	Type       *string `json:"entity_type"`
	Score      *float64
	Start, End *offset
	Left       *float64 // an image's: its positions are of the text that OCR read, which nobody else has
}

// parsePresidio reads the analyzer's list of results, its list of lists for several texts, or what the anonymizer
// answers. An entity that occurs several times is one finding with the highest score. The anonymizer's positions are
// those of the text that it wrote, so they are dropped, and so are positions in one of several texts.
func parsePresidio(_, output string) (Output, error) {
	out := Output{Vendor: "presidio", Table: "presidio"}
	rows, texts, err := rowsOf[entity](output)
	if output[0] == '{' {
		var doc struct{ Items []entity }
		err = json.Unmarshal([]byte(output), &doc)
		rows, texts = doc.Items, 2
	}
	if err != nil {
		return Output{}, ErrShape
	}
	for _, r := range rows {
		if r.Type == nil {
			return Output{}, ErrShape
		}
		f := scored(*r.Type, r.Score, scaleRecogniser)
		if texts < 2 && r.Left == nil {
			f.Spans = runes(r.Start, r.End)
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}

// rowsOf reads a list of rows, or a list of such lists for several texts.
func rowsOf[T any](output string) (rows []T, texts int, err error) {
	if err := json.Unmarshal([]byte(output), &rows); err == nil {
		return rows, 1, nil
	}
	var lists [][]T
	if err := json.Unmarshal([]byte(output), &lists); err != nil {
		return nil, 0, ErrShape
	}
	return slices.Concat(lists...), len(lists), nil
}
