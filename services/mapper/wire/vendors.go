package wire

import (
	"encoding/json"
	"slices"
	"strings"
)

// openAICategories are the categories of the moderation endpoint. A document may have others.
var openAICategories = []string{
	"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
	"self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}

// openAIName undoes the attribute names that the Python SDK's model_dump writes: self_harm_intent.
func openAIName(name string) string {
	for _, c := range openAICategories {
		if name == strings.NewReplacer("/", "_", "-", "_").Replace(c) {
			return c
		}
	}
	return name
}

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
			label := openAIName(name)
			scores[label] = stronger(scores[label], clamp(r.Scores[name], 1))
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
