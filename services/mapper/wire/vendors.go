package wire

import (
	"encoding/json"
	"slices"
	"strings"
)

// parseOpenAI reads a CreateModerationResponse (platform.openai.com, moderations): a category that is true
// counts, its score says how strongly; several results are taken together.
func parseOpenAI(output string) (Output, error) {
	var doc struct {
		Model   string
		Results []struct {
			Flagged    *bool
			Categories map[string]*bool
			Scores     map[string]*float64 `json:"category_scores"`
		}
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	if len(doc.Results) == 0 {
		return Output{}, ErrShape // nothing was looked at, which is not the same as nothing found
	}
	out := Output{Vendor: "openai", Table: "openai-moderation"}
	if nameShape.MatchString(doc.Model) {
		out.Model = doc.Model
	}
	scores := map[string]*float64{}
	flagged := false
	for _, r := range doc.Results {
		if r.Flagged == nil && r.Categories == nil {
			return Output{}, ErrShape
		}
		named := false
		for name, on := range r.Categories {
			if on == nil || !*on {
				continue
			}
			named = true
			scores[name] = stronger(scores[name], clamp(r.Scores[name], 1))
		}
		flagged = flagged || r.Flagged != nil && *r.Flagged && !named
	}
	for name, score := range scores {
		out.Findings = append(out.Findings, scored(name, score, "probability"))
	}
	if flagged {
		out.Findings = append(out.Findings, Finding{Native: "flagged"})
	}
	slices.SortFunc(out.Findings, func(a, b Finding) int { return strings.Compare(a.Native, b.Native) })
	return out, named(out.Findings)
}

// parseAzure reads the answers of Azure AI Content Safety's text:analyze, text:shieldPrompt,
// text:detectProtectedMaterial and text:detectGroundedness (2024-09-01). Severity 0 means that there is nothing.
func parseAzure(output string) (Output, error) {
	type attack struct {
		Detected bool `json:"attackDetected"`
	}
	var doc struct {
		Categories []struct {
			Category string
			Severity *float64
		} `json:"categoriesAnalysis"`
		Blocklists []struct{}               `json:"blocklistsMatch"`
		User       *attack                  `json:"userPromptAnalysis"`
		Documents  []attack                 `json:"documentsAnalysis"`
		Protected  *struct{ Detected bool } `json:"protectedMaterialAnalysis"`
		Ungrounded bool                     `json:"ungroundedDetected"`
		Percentage *float64                 `json:"ungroundedPercentage"`
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "azure", Table: "azure-content-safety"}
	for _, c := range doc.Categories {
		if c.Severity != nil && *c.Severity > 0 {
			out.Findings = append(out.Findings, scored(c.Category, clamp(c.Severity, 7), "severity 0 to 7"))
		}
	}
	add := func(on bool, name string) {
		if on {
			out.Findings = append(out.Findings, Finding{Native: name})
		}
	}
	add(len(doc.Blocklists) > 0, "Blocklist")
	add(doc.User != nil && doc.User.Detected, "UserPromptAttack")
	add(slices.Contains(doc.Documents, attack{true}), "DocumentAttack")
	add(doc.Protected != nil && doc.Protected.Detected, "ProtectedMaterial")
	if doc.Ungrounded {
		out.Findings = append(out.Findings, scored("Ungrounded", clamp(doc.Percentage, 1), "share of the text"))
	}
	return out, named(out.Findings)
}

// parsePresidio reads the analyzer's list of results, or its list of lists for several texts. An entity that
// occurs several times is one finding with the highest score.
func parsePresidio(output string) (Output, error) {
	type entity struct {
		Type  *string `json:"entity_type"`
		Score *float64
	}
	var rows []entity
	if err := json.Unmarshal([]byte(output), &rows); err != nil {
		var lists [][]entity
		if !json.Valid([]byte(output)) {
			return Output{}, ErrJSON
		}
		if err := json.Unmarshal([]byte(output), &lists); err != nil {
			return Output{}, ErrShape
		}
		rows = slices.Concat(lists...)
	}
	out := Output{Vendor: "presidio", Table: "presidio"}
	at := map[string]int{}
	for _, r := range rows {
		if r.Type == nil {
			return Output{}, ErrShape
		}
		score := clamp(r.Score, 1)
		if i, ok := at[*r.Type]; ok {
			out.Findings[i].Score = stronger(out.Findings[i].Score, score)
			continue
		}
		at[*r.Type] = len(out.Findings)
		out.Findings = append(out.Findings, scored(*r.Type, score, "score of the recogniser"))
	}
	return out, named(out.Findings)
}

func scored(name string, score *float64, scale string) Finding {
	if score == nil {
		scale = ""
	}
	return Finding{Native: name, Score: score, Scale: scale}
}

// clamp brings a value of 0 to most into 0 to 1.
func clamp(v *float64, most float64) *float64 {
	if v == nil {
		return nil
	}
	c := min(1, max(0, *v/most))
	return &c
}

func stronger(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
