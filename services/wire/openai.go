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

var attribute = strings.NewReplacer("/", "_", "-", "_")

// openAIName undoes the attribute names that the Python SDK's model_dump writes: self_harm_intent.
func openAIName(name string) string {
	for _, c := range openAICategories {
		if name == attribute.Replace(c) {
			return c
		}
	}
	return name
}

func isOpenAI(d document) bool {
	return d.object("results") && !strings.Contains(string(d.members["results"]), `"detector_type"`)
}

// parseOpenAI reads a CreateModerationResponse (platform.openai.com, moderations): a category that is true
// counts, its score says how strongly; several results are taken together.
func parseOpenAI(_, output string) (Output, error) {
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
	out := Output{Vendor: "openai", Table: "openai-moderation", Model: modelName(doc.Model)}
	flagged := false
	for _, r := range doc.Results {
		if r.Flagged == nil && r.Categories == nil {
			return Output{}, ErrShape
		}
		named := false
		for name, on := range r.Categories {
			if isTrue(on) {
				named = true
				out.add(scored(openAIName(name), r.Scores[name], scaleProbability))
			}
		}
		flagged = flagged || isTrue(r.Flagged) && !named
	}
	if flagged {
		out.add(Finding{Native: "flagged"})
	}
	slices.SortFunc(out.Findings, func(a, b Finding) int { return strings.Compare(a.Native, b.Native) })
	return out, named(out.Findings)
}

func isTrue(b *bool) bool { return b != nil && *b }
