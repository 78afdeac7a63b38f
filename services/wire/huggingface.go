package wire

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
)

// hfRow is one row of a pipeline of Hugging Face: a label for the text, or an entity in it.
type hfRow struct {
	Label      *string
	Group      *string `json:"entity_group"`
	Entity     *string
	Score      *float64
	Start, End *offset
}

func isClassification(d document) bool { return d.rows("label", "score") || d.object("label", "score") }

func isHuggingFace(d document) bool {
	return isClassification(d) || d.rows("entity_group", "score") || d.rows("entity", "score") || isDetoxify(d)
}

// isDetoxify knows the answer of Detoxify's predict: a probability for each label.
func isDetoxify(d document) bool {
	return d.object("toxicity", "insult") || d.object("toxic", "insult")
}

// parseHuggingFace reads text-classification, token-classification and Detoxify.
func parseHuggingFace(_, output string) (Output, error) {
	out := Output{Vendor: "huggingface", Fallback: "huggingface-transformers"}
	rows, texts, err := hfRows(output)
	if err != nil {
		return Output{}, err
	}
	softmax := isSoftmax(rows, texts)
	for _, r := range rows {
		var f Finding
		switch {
		case r.Group != nil || r.Entity != nil:
			if f = r.entity(); f.Native == "O" {
				continue
			}
		case r.Label == nil || r.Score == nil:
			return Output{}, ErrShape
		case softmax && slices.ContainsFunc(rows, func(s hfRow) bool { return *s.Score > *r.Score }):
			continue // one answer of several; the best counts, whatever its score
		default:
			f = likely(*r.Label, r.Score)
			f.Clean = f.Clean && !softmax || negative(f.Native)
		}
		if texts > 1 {
			f.Spans = nil
		}
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}

// negative says that a classifier's label is its word for nothing. A sentiment is not.
func negative(label string) bool {
	words := plain(label)
	return clean[words] && !sentiments[words] && words != "0" && words != "no" && words != "false"
}

// several are classes of models whose classes are independent, Jigsaw's and Detoxify's.
var several = map[string]bool{"severe_toxic": true, "severe_toxicity": true, "identity_hate": true, "identity_attack": true}

// isSoftmax says whether rows are one answer out of several: their probabilities make 1.
func isSoftmax(rows []hfRow, texts int) bool {
	sum := 0.0
	for _, r := range rows {
		if r.Label == nil || r.Score == nil || several[strings.ToLower(*r.Label)] {
			return false
		}
		sum += *r.Score
	}
	return texts == 1 && len(rows) > 1 && math.Abs(sum-1) < 0.01
}

func (r hfRow) entity() Finding {
	name := r.Group
	if name == nil {
		name = r.Entity
	}
	label := *name
	for _, prefix := range []string{"B-", "I-", "E-", "S-", "L-", "U-"} {
		label = strings.TrimPrefix(label, prefix)
	}
	f := scored(label, r.Score, scaleProbability)
	f.Spans = runes(r.Start, r.End)
	return f
}

// hfRows reads rows, lists of rows, or Detoxify's object, whose values are lists for several texts.
func hfRows(output string) ([]hfRow, int, error) {
	if output[0] == '[' {
		return rowsOf[hfRow](output)
	}
	var one hfRow
	if err := json.Unmarshal([]byte(output), &one); err == nil && one.Label != nil {
		return []hfRow{one}, 1, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(output), &members); err != nil {
		return nil, 0, ErrShape
	}
	var rows []hfRow
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var v float64
		var list []float64
		switch {
		case json.Unmarshal(members[name], &v) == nil:
		case json.Unmarshal(members[name], &list) == nil && len(list) > 0:
			v = slices.Max(list)
		default:
			return nil, 0, ErrShape
		}
		rows = append(rows, hfRow{Label: &name, Score: &v})
	}
	return rows, 2, nil
}
