package wire

import "encoding/json"

// dlpFinding is one finding of Sensitive Data Protection. Positions of 64 bits are strings, a start of 0 is left out.
type dlpFinding struct {
	InfoType   struct{ Name string }
	Likelihood string
	Location   struct {
		ByteRange      dlpRange
		CodepointRange dlpRange
	}
}

type dlpRange struct{ Start, End offset }

// dlpTruncated is what we call an answer that leaves findings out.
const dlpTruncated = "findingsTruncated"

func isDLP(d document) bool {
	if d.object("result") {
		var result map[string]json.RawMessage
		if json.Unmarshal(d.members["result"], &result) != nil {
			return false
		}
		delete(result, "findings")
		delete(result, dlpTruncated)
		return len(result) == 0
	}
	if !d.object("findings") {
		return false
	}
	var rows []map[string]json.RawMessage
	return json.Unmarshal(d.members["findings"], &rows) == nil && len(rows) > 0 && rows[0]["infoType"] != nil
}

// parseDLP reads what content:inspect of Google's Sensitive Data Protection (DLP) answers, or its result alone. An
// answer that was truncated says so in a finding of its own.
func parseDLP(_, output string) (Output, error) {
	type result struct {
		Findings  []dlpFinding
		Truncated bool `json:"findingsTruncated"`
	}
	var doc struct {
		result
		Result *result
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	if doc.Result == nil {
		doc.Result = &doc.result
	}
	out := Output{Vendor: "google-dlp", Table: "google-cloud-dlp"}
	for _, f := range doc.Result.Findings {
		if out.add(f.finding()); out.full() {
			return Output{}, ErrTooMany
		}
	}
	if doc.Result.Truncated {
		out.add(yes(dlpTruncated))
		out.note("the vendor left findings out")
	}
	return out, named(out.Findings)
}

func (f dlpFinding) finding() Finding {
	out := worded(f.InfoType.Name, f.Likelihood, likelihoods, scaleLikelihood)
	bytes, runes := f.Location.ByteRange, f.Location.CodepointRange
	out.Spans = spans(Span{Byte: pair(bytes.Start, bytes.End), Rune: pair(runes.Start, runes.End)})
	return out
}
