package wire

import (
	"encoding/json"
	"slices"
	"strings"
)

// sarifFailed is what we call a run whose tool says that it failed.
const sarifFailed = "executionSuccessful/false"

var sarifLevels = map[string]float64{"note": 1. / 3, "warning": 2. / 3, "error": 1}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Name  string
			Rules []struct{ ID string }
		}
	}
	ColumnKind  string
	Invocations []struct {
		Successful *bool `json:"executionSuccessful"`
	}
	Results []sarifResult
}

type sarifResult struct {
	RuleID string
	Rule   struct {
		ID    string
		Index *int
	}
	RuleIndex    *int
	Kind, Level  string
	Suppressions []struct{ Status string }
	Locations    []struct {
		Physical struct {
			Region struct {
				ByteOffset, ByteLength offset
				CharOffset, CharLength offset
			}
		} `json:"physicalLocation"`
	}
}

func isSARIF(d document) bool { return d.object("runs", "version") }

// parseSARIF reads SARIF 2.1.0 (OASIS): results that fail or need a look, by the rule's id. Results that pass or are
// suppressed are none. Messages and snippets are content.
func parseSARIF(_, output string) (Output, error) {
	var doc struct{ Runs []sarifRun }
	if err := json.Unmarshal([]byte(output), &doc); err != nil || len(doc.Runs) == 0 {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "sarif", Fallback: "sarif"}
	for _, run := range doc.Runs {
		table := ""
		if mentions(run.Tool.Driver.Name, "gitleaks", "betterleaks") {
			table = "gitleaks"
		}
		for _, r := range run.Results {
			if !r.counts() {
				continue
			}
			id := r.id(run)
			if id == "" {
				return Output{}, ErrShape
			}
			f := worded(id, r.Level, sarifLevels, "level note to error")
			f.Table, f.Spans = table, r.spans(run.ColumnKind)
			if out.add(f); out.full() {
				return Output{}, ErrTooMany
			}
		}
		if run.failed() {
			out.add(Finding{Native: sarifFailed, Table: "sarif", Scale: scaleBoolean, Raw: "true"})
		}
	}
	return out, named(out.Findings)
}

// failed says whether the tool did not do its work: it says so, or has no list of results, not even an empty one.
func (r sarifRun) failed() bool {
	for _, i := range r.Invocations {
		if i.Successful != nil && !*i.Successful {
			return true
		}
	}
	return r.Results == nil
}

// counts says whether a result is a finding: of kind fail, which is what it is if it does not say, and not accepted.
func (r sarifResult) counts() bool {
	for _, s := range r.Suppressions {
		if s.Status == "" || s.Status == "accepted" {
			return false
		}
	}
	return r.Kind == "" || slices.Contains([]string{"fail", "open", "review"}, r.Kind)
}

// id is the rule's, which a result may give by its place in the tool's list only.
func (r sarifResult) id(run sarifRun) string {
	rules := run.Tool.Driver.Rules
	for _, i := range []*int{r.RuleIndex, r.Rule.Index} {
		if r.RuleID == "" && r.Rule.ID == "" && i != nil && *i >= 0 && *i < len(rules) {
			return rules[*i].ID
		}
	}
	if r.RuleID != "" {
		return r.RuleID
	}
	return r.Rule.ID
}

// spans are the regions that have offsets. What a character is, the run says; without it, offsets in characters are
// in no unit.
func (r sarifResult) spans(columns string) (all []Span) {
	for _, l := range r.Locations[:min(len(r.Locations), maxSpans)] {
		at := l.Physical.Region
		s := Span{Byte: pair(at.ByteOffset, at.ByteOffset+at.ByteLength)}
		switch strings.ToLower(columns) {
		case "unicodecodepoints":
			s.Rune = pair(at.CharOffset, at.CharOffset+at.CharLength)
		case "utf16codeunits":
			s.UTF16 = pair(at.CharOffset, at.CharOffset+at.CharLength)
		}
		all = append(all, spans(s)...)
	}
	return all
}
