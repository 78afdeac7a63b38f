package wire

import "encoding/json"

func isLiteLLM(d document) bool {
	return d.object("action") && d.hasOne("blocked_reason", "texts") && !d.has("assessments")
}

// parseLiteLLM reads the answer of LiteLLM's generic guardrail API, which says what to do and not why in labels: its
// reason is a sentence.
func parseLiteLLM(_, output string) (Output, error) {
	var doc struct{ Action string }
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "litellm", Table: "litellm"}
	switch doc.Action {
	case "NONE":
	case "BLOCKED", bedrockIntervened:
		out.add(yes(doc.Action))
	default:
		return Output{}, ErrShape
	}
	return out, nil
}
