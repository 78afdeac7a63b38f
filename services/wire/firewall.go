package wire

import (
	"encoding/json"
	"strings"
)

// firewallScanners are LlamaFirewall's scanners. Its answer does not say which one it is of; the detector's name may.
var firewallScanners = []string{"prompt_guard", "alignment_check", "agent_alignment", "code_shield", "hidden_ascii", "pii_detection", "regex"}

func isFirewall(d document) bool {
	return d.object("decision", "score") && d.hasOne("reason", "status")
}

// parseFirewall reads a ScanResult of LlamaFirewall. Its reason quotes content. A scan that failed is not clean,
// whatever its decision.
func parseFirewall(detector, output string) (Output, error) {
	var doc struct {
		Decision string
		Score    *float64
		Status   string
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "llamafirewall", Table: "llamafirewall"}
	switch enum(doc.Status) {
	case "", "success":
	case "error", "failed":
		out.add(yes("error"))
	case "skipped":
		out.add(yes("skipped"))
	default:
		return Output{}, ErrShape
	}
	decision := enum(doc.Decision)
	switch decision {
	case "allow":
	case "block", "human_in_the_loop_required":
		label := decision
		name := strings.ReplaceAll(strings.ToLower(detector), "-", "_")
		for _, s := range firewallScanners {
			if decision == "block" && strings.Contains(name, s) {
				label = s
			}
		}
		out.add(scored(label, doc.Score, "score of the scanner"))
	default:
		return Output{}, ErrShape
	}
	return out, nil
}

// enum is a value as JSON has it, or as Python prints it: ScanDecision.BLOCK.
func enum(s string) string { return strings.ToLower(s[strings.LastIndexByte(s, '.')+1:]) }
