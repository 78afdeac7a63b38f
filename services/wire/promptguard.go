package wire

import (
	"regexp"
	"slices"
	"strings"
)

// promptName finds a version in names such as Llama-Prompt-Guard-2-86M. Prompt-Guard-86M has a size and is the first.
var promptName = regexp.MustCompile(`(?i)prompt[-_ ]?guard[-_ .:]*v?(?:(\d+)(m\b)?)?`)

func isPromptGuard(detector string) bool { return promptName.MatchString(detector) }

// promptLabels are the labels of both versions, in the order of their numbers: LABEL_1 is another one in each.
var promptLabels = map[string][]string{
	"prompt-guard-1": {"BENIGN", "INJECTION", "JAILBREAK"},
	"prompt-guard-2": {"BENIGN", "MALICIOUS"},
}

var promptText = regexp.MustCompile(`(?i)^(?:benign|injection|jailbreak|malicious|label_[0-2])$`)

func isPromptText(output string) bool { return promptText.MatchString(output) }

// parsePromptGuard reads a label, or the rows of a text-classification pipeline. A long text is scanned in windows of
// 512 tokens, which make several lists: a label of any window counts.
func parsePromptGuard(detector, output string) (Output, error) {
	out := Output{Vendor: "prompt-guard"}
	rows := []hfRow{{Label: &output}}
	if output[0] == '[' || output[0] == '{' {
		var err error
		if rows, _, err = hfRows(output); err != nil || len(rows) == 0 {
			return Output{}, ErrShape
		}
	}
	labels := make([]string, len(rows))
	for i, r := range rows {
		if r.Label == nil {
			return Output{}, ErrShape
		}
		labels[i] = strings.ToUpper(*r.Label)
	}
	out.Table = promptTable(detector, labels)
	if out.Table == "" {
		out.Table = "prompt-guard-2"
		out.note("the detector's name has no version known here; labels were read as Prompt Guard 2's")
	}
	for i, r := range rows {
		label := labels[i]
		if n := strings.TrimPrefix(label, "LABEL_"); n != label && len(n) == 1 && int(n[0]-'0') < len(promptLabels[out.Table]) {
			label = promptLabels[out.Table][n[0]-'0']
		}
		f := likely(label, r.Score)
		f.Clean = f.Clean || label == "BENIGN"
		if out.add(f); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}

// promptTable finds the version by the detector's name, or else by labels that one version has alone.
func promptTable(detector string, labels []string) string {
	m := promptName.FindStringSubmatch(detector)
	switch {
	case m[1] == "1" && m[2] == "", m[2] != "":
		return "prompt-guard-1"
	case m[1] == "2", slices.Contains(labels, "MALICIOUS"):
		return "prompt-guard-2"
	case slices.Contains(labels, "INJECTION"), slices.Contains(labels, "JAILBREAK"), slices.Contains(labels, "LABEL_2"):
		return "prompt-guard-1"
	}
	return ""
}
