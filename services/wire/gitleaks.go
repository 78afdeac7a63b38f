package wire

import "encoding/json"

func isGitleaks(d document) bool { return d.rows("RuleID") }

// parseGitleaks reads a report of gitleaks, or of betterleaks, which writes the same. Matches, secrets, paths and
// people's names stay behind; lines and columns are no positions in a text.
func parseGitleaks(_, output string) (Output, error) {
	var rows []struct{ RuleID *string }
	if err := json.Unmarshal([]byte(output), &rows); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "gitleaks", Table: "gitleaks"}
	for _, r := range rows {
		if r.RuleID == nil {
			return Output{}, ErrShape
		}
		if out.add(yes(*r.RuleID)); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}
