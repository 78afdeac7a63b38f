package wire

import (
	"regexp"
	"strings"
)

// graniteRisks are the criteria that Granite Guardian is trained for. One answer is about one of them, which only the
// detector's name can say; harm is the one that it is asked where nothing is said.
var graniteRisks = []string{
	"harm_engagement", "harm", "social_bias", "jailbreak", "violence", "profanity", "sexual_content", "unethical_behavior", "evasiveness",
	"groundedness", "context_relevance", "answer_relevance", "function_call",
}

var (
	graniteVerdict = regexp.MustCompile(`(?i)^(?:<score>\s*(yes|no)\s*</score>|(yes|no|failed)\b)`)
	graniteLevel   = regexp.MustCompile(`(?i)<confidence>\s*(high|low)\s*</confidence>`)
)

func isGraniteText(output string) bool { return graniteVerdict.MatchString(output) }

// parseGranite reads Yes or No, with a confidence (3.2) or in a score's tags behind thoughts (3.3). Yes says that the
// risk is there, for groundedness too: the answer is not grounded.
func parseGranite(detector, output string) (Output, error) {
	out := Output{Vendor: "granite-guardian", Table: "granite-guardian"}
	m := graniteVerdict.FindStringSubmatch(output)
	verdict := strings.ToLower(m[1] + m[2])
	if verdict == "failed" {
		out.add(yes("failed"))
		return out, nil
	}
	f := Finding{Native: graniteRisk(detector), Scale: scaleBoolean, Raw: verdict}
	if level := graniteLevel.FindStringSubmatch(output); level != nil && verdict == "yes" {
		f = worded(f.Native, strings.ToUpper(level[1]), map[string]float64{"LOW": 0.5, "HIGH": 1}, "confidence low or high")
	}
	f.Clean = verdict == "no"
	out.add(f)
	return out, nil
}

// graniteRisk finds the risk in a detector's name: granite-guardian-3.2/social_bias.
func graniteRisk(detector string) string {
	name := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(detector))
	for _, risk := range graniteRisks {
		if strings.Contains(name, risk) {
			return risk
		}
	}
	return "harm"
}
