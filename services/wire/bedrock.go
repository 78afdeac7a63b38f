package wire

import (
	"encoding/json"
	"maps"
	"slices"
)

// The labels we give to what a guardrail finds and has no fixed name for. A customer's own names follow some of them.
const (
	bedrockTopic      = "TOPIC"
	bedrockWord       = "CUSTOM_WORD"
	bedrockRegex      = "REGEX"
	bedrockReasoning  = "AUTOMATED_REASONING"
	bedrockIntervened = "GUARDRAIL_INTERVENED" // it stepped in and no policy says why
)

// bedrockItem is one thing a policy looked at. Its match is content.
type bedrockItem struct {
	Name, Type, Action string
	Confidence         string
	Score              *float64
	Detected           *bool
}

// found says whether the item was detected: since 2025 in so many words, before that by an action or by being listed.
func (i bedrockItem) found() bool {
	if i.Detected != nil {
		return *i.Detected
	}
	return i.Action != "NONE"
}

type bedrockAssessment struct {
	Topic     *struct{ Topics []bedrockItem }  `json:"topicPolicy"`
	Content   *struct{ Filters []bedrockItem } `json:"contentPolicy"`
	Grounding *struct{ Filters []bedrockItem } `json:"contextualGroundingPolicy"`
	Word      *struct {
		Custom  []bedrockItem `json:"customWords"`
		Managed []bedrockItem `json:"managedWordLists"`
	} `json:"wordPolicy"`
	Sensitive *struct {
		Entities []bedrockItem `json:"piiEntities"`
		Regexes  []bedrockItem
	} `json:"sensitiveInformationPolicy"`
	Reasoning *struct{ Findings []map[string]json.RawMessage } `json:"automatedReasoningPolicy"`
}

// bedrockTrace is the guardrail's part of the trace that Converse and InvokeModel answer.
type bedrockTrace struct {
	Input   map[string]bedrockAssessment   `json:"inputAssessment"`
	Outputs map[string][]bedrockAssessment `json:"outputAssessments"`
}

func isBedrock(d document) bool {
	switch {
	case d.object("assessments", "action"), d.object("amazon-bedrock-trace"):
		return true
	case d.object("action"):
		return d.hasOne("guardrailCoverage", "usage", "outputs") && !d.has("texts")
	}
	var trace struct{ Guardrail *json.RawMessage }
	return d.object("trace") && json.Unmarshal(d.members["trace"], &trace) == nil && trace.Guardrail != nil
}

// parseBedrock reads what ApplyGuardrail of Amazon Bedrock answers, or the trace that Converse and InvokeModel do.
// What was detected counts, whether or not the guardrail was told to act.
func parseBedrock(_, output string) (Output, error) {
	var doc struct {
		Action      string
		Assessments []bedrockAssessment
		Coverage    struct {
			Text struct{ Guarded, Total float64 } `json:"textCharacters"`
		} `json:"guardrailCoverage"`
		Trace  struct{ Guardrail *bedrockTrace }
		Invoke struct{ Guardrail *bedrockTrace } `json:"amazon-bedrock-trace"`
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	all := doc.Assessments
	for _, t := range []*bedrockTrace{doc.Trace.Guardrail, doc.Invoke.Guardrail} {
		if t == nil {
			continue
		}
		for _, id := range slices.Sorted(maps.Keys(t.Input)) {
			all = append(all, t.Input[id])
		}
		for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
			all = append(all, t.Outputs[id]...)
		}
	}
	intervened := doc.Action == bedrockIntervened
	if len(all) == 0 && !intervened && doc.Action != "NONE" {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "bedrock", Table: "amazon-bedrock-guardrails"}
	for _, a := range all {
		if a.into(&out); out.full() {
			return Output{}, ErrTooMany
		}
	}
	if intervened && len(out.Findings) == 0 {
		out.add(yes(bedrockIntervened))
	}
	if c := doc.Coverage.Text; c.Guarded < c.Total {
		out.note("the guardrail looked at a part of the text only")
	}
	return out, named(out.Findings)
}

// into adds what one assessment found.
func (a bedrockAssessment) into(out *Output) {
	add := func(items []bedrockItem, label func(bedrockItem) Finding) {
		for _, i := range items {
			if i.found() {
				out.add(label(i))
			}
		}
	}
	typed := func(i bedrockItem) Finding { return worded(i.Type, i.Confidence, confidences, scaleConfidence) }
	if a.Content != nil {
		add(slices.DeleteFunc(a.Content.Filters, func(i bedrockItem) bool { return i.Confidence == "NONE" }), typed)
	}
	if a.Topic != nil {
		add(a.Topic.Topics, func(i bedrockItem) Finding { return Finding{Native: slug(bedrockTopic, i.Name)} })
	}
	if a.Word != nil {
		add(a.Word.Custom, func(bedrockItem) Finding { return Finding{Native: bedrockWord} })
		add(a.Word.Managed, typed)
	}
	if a.Sensitive != nil {
		add(a.Sensitive.Entities, typed)
		add(a.Sensitive.Regexes, func(i bedrockItem) Finding { return Finding{Native: slug(bedrockRegex, i.Name)} })
	}
	if a.Grounding != nil {
		add(a.Grounding.Filters, ungrounded)
	}
	if a.Reasoning != nil {
		for _, f := range a.Reasoning.Findings {
			for _, verdict := range slices.Sorted(maps.Keys(f)) {
				out.add(Finding{Native: slug(bedrockReasoning, verdict), Clean: verdict == "valid"})
			}
		}
	}
}

// ungrounded turns a score round: the vendor's is high for what is grounded or relevant.
func ungrounded(i bedrockItem) Finding {
	if i.Score == nil {
		return Finding{Native: i.Type}
	}
	missing := 1 - *i.Score
	f := scored(i.Type, &missing, "1 less the score of grounding")
	f.Raw = number(*i.Score)
	return f
}
