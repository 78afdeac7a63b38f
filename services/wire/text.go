package wire

import "strings"

// clean are the words with which a detector says that there is nothing: whole, in lower case, with spaces for _
// and -. Numbers and truth values answer the question that detectors ask, whether something is there: 0, no and
// false are clean. A detector that asks the reverse, such as is_safe, must say the word.
var clean = map[string]bool{
	"safe": true, "clean": true, "benign": true, "none": true, "negative": true, "ok": true, "okay": true, "pass": true, "passed": true,
	"allow": true, "allowed": true, "harmless": true, "normal": true, "neutral": true, "not toxic": true, "non toxic": true,
	"no issue": true, "no issues": true, "no issues found": true, "not flagged": true, "unflagged": true, "not detected": true,
	"nothing found": true, "no findings": true, "no match": true, "no match found": true, "no violation": true, "no violations": true,
	"0": true, "no": true, "false": true,
}

// bare are verdicts that say that something is there, not what. A model reads them as flagged.
var bare = map[string]bool{"1": true, "yes": true, "true": true}

// sentiments are words of another question than a detector's: negative is a mood there, not the absence of harm.
var sentiments = map[string]bool{"negative": true, "positive": true, "neutral": true}

var spaces = strings.NewReplacer("_", " ", "-", " ")

// plain writes a verdict as the words of clean and bare are written.
func plain(s string) string { return strings.TrimRight(spaces.Replace(strings.ToLower(s)), " .!") }

// parseText reads labels joined by |, or words.
func parseText(detector, output string) (Output, error) {
	out := Output{Vendor: "text"}
	for part := range strings.SplitSeq(output, "|") {
		part = strings.TrimSpace(part)
		switch {
		case part == "":
			continue
		case len(part) > MaxLabel:
			return out, ErrTooLong
		case len(out.Findings) == MaxFindings:
			return out, ErrTooMany
		}
		out.Findings = append(out.Findings, textFinding(detector, part))
	}
	if len(out.Findings) == 0 {
		return out, ErrEmpty
	}
	return out, nil
}

func textFinding(detector, part string) Finding {
	if mentions(detector, "azure") {
		if f, ok := azureLevel(part); ok {
			return f
		}
	}
	words := plain(part)
	f := Finding{Native: part, Clean: clean[words] && !(sentiments[words] && mentions(detector, "sentiment", "huggingface"))}
	if bare[words] {
		f.Words = "flagged"
	}
	return f
}

// mentions says whether a detector's name has one of the words, which are in lower case.
func mentions(detector string, words ...string) bool {
	name := strings.ToLower(detector)
	for _, w := range words {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
