package wire

import (
	"encoding/json"
	"maps"
	"slices"
)

// The labels we give to what Model Armor says about its own work.
const (
	armorMatch   = "MATCH_FOUND"        // it found something and no filter says what
	armorPartial = "invocation/PARTIAL" // some filters failed
	armorFailure = "invocation/FAILURE" // all filters failed
	armorSkipped = "filter/SKIPPED"     // one filter did not run
)

// armorFilter is what one filter answered. rai has results for each type of harm, sdp has infoTypes.
type armorFilter struct {
	Execution  string                  `json:"executionState"`
	Match      string                  `json:"matchState"`
	Confidence string                  `json:"confidenceLevel"`
	Types      map[string]*armorFilter `json:"raiFilterTypeResults"`
	Inspect    *armorSDP               `json:"inspectResult"`
	Deidentify *armorSDP               `json:"deidentifyResult"`
}

type armorSDP struct {
	Execution string `json:"executionState"`
	Match     string `json:"matchState"`
	Findings  []struct {
		InfoType   string
		Likelihood string
		Location   struct {
			ByteRange      dlpRange
			CodepointRange dlpRange
		}
	}
	Truncated bool     `json:"findingsTruncated"`
	InfoTypes []string // of deidentifyResult
}

func isArmor(d document) bool {
	return d.object("sanitizationResult") || d.object("filterMatchState", "filterResults")
}

// parseArmor reads what sanitizeUserPrompt and sanitizeModelResponse of Google's Model Armor answer. A filter that
// did not run, and an invocation that was not whole, are findings.
func parseArmor(_, output string) (Output, error) {
	type result struct {
		Match      string                                `json:"filterMatchState"`
		Invocation string                                `json:"invocationResult"`
		Filters    map[string]map[string]json.RawMessage `json:"filterResults"`
	}
	var doc struct {
		result
		Result *result `json:"sanitizationResult"`
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	if doc.Result == nil {
		doc.Result = &doc.result
	}
	r := doc.Result
	if r.Match != armorMatch && r.Match != "NO_MATCH_FOUND" {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "model-armor", Table: "google-model-armor"}
	switch r.Invocation {
	case "PARTIAL":
		out.add(yes(armorPartial))
	case "FAILURE":
		out.add(yes(armorFailure))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Filters)) {
		f, err := unwrap(r.Filters[name])
		if err == nil {
			err = f.into(&out, name)
		}
		if err != nil {
			return Output{}, err
		}
	}
	if r.Match == armorMatch && !slices.ContainsFunc(out.Findings, func(f Finding) bool { return f.Native != armorPartial && f.Native != armorSkipped }) {
		out.add(yes(armorMatch))
	}
	return out, named(out.Findings)
}

// unwrap reads a filter's result, which is in a member of a name of its own: {"raiFilterResult":{...}}.
func unwrap(members map[string]json.RawMessage) (f armorFilter, err error) {
	raw, err := json.Marshal(members)
	if len(members) == 1 {
		for _, inner := range members {
			raw = inner
		}
	}
	if err == nil && json.Unmarshal(raw, &f) != nil {
		err = ErrShape
	}
	return f, err
}

// into adds what a filter found.
func (f *armorFilter) into(out *Output, name string) error {
	for _, s := range []*armorSDP{f.Inspect, f.Deidentify} {
		if s != nil {
			return s.into(out)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(f.Types)) {
		if f.Types[kind] == nil {
			return ErrShape
		}
		if err := f.Types[kind].into(out, kind); err != nil {
			return err
		}
	}
	found, err := armorState(f.Execution, f.Match, out)
	if found && len(f.Types) == 0 {
		out.add(worded(name, f.Confidence, confidences, scaleConfidence))
	}
	return err
}

// into adds the infoTypes, whose names are those of Sensitive Data Protection.
func (s *armorSDP) into(out *Output) error {
	found, err := armorState(s.Execution, s.Match, out)
	if err != nil || !found {
		return err
	}
	n := len(out.Findings)
	for _, f := range s.Findings {
		dlp := dlpFinding{Likelihood: f.Likelihood, Location: f.Location}
		dlp.InfoType.Name = f.InfoType
		g := dlp.finding()
		g.Table = "google-cloud-dlp"
		if out.add(g); out.full() {
			return ErrTooMany
		}
	}
	for _, name := range s.InfoTypes {
		if out.add(Finding{Native: name, Table: "google-cloud-dlp"}); out.full() {
			return ErrTooMany
		}
	}
	if s.Truncated {
		out.add(Finding{Native: dlpTruncated, Table: "google-cloud-dlp"})
	}
	if len(out.Findings) == n {
		out.add(yes("sdp"))
	}
	return nil
}

// armorState says whether a filter found something. One that did not run is a finding.
func armorState(execution, match string, out *Output) (bool, error) {
	switch {
	case execution == "EXECUTION_SKIPPED":
		out.add(yes(armorSkipped))
		return false, nil
	case match == armorMatch:
		return true, nil
	case match == "NO_MATCH_FOUND":
		return false, nil
	}
	return false, ErrShape
}
