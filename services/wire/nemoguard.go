package wire

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// nemoCategories are the categories of NemoGuard content safety in the order of their codes, S1 to S23. The
// reasoning model has no Other, so its codes behind that are one less.
var nemoCategories = []string{
	"Violence", "Sexual", "Criminal Planning/Confessions", "Guns and Illegal Weapons", "Controlled/Regulated Substances", "Suicide and Self Harm",
	"Sexual (minor)", "Hate/Identity Hate", "PII/Privacy", "Harassment", "Threat", "Profanity", "Needs Caution", "Other", "Manipulation",
	"Fraud/Deception", "Malware", "High Risk Gov Decision Making", "Political/Misinformation/Conspiracy", "Copyright/Trademark/Plagiarism",
	"Unauthorized Advice", "Illegal Activity", "Immoral/Unethical",
}

const nemoOther = 14 // the code of Other

// nemoSpelt finds a category however it is written: case, spaces and signs do not matter.
func nemoSpelt(name string) (string, bool) {
	for _, c := range nemoCategories {
		if letters(c) == letters(name) {
			return c, true
		}
	}
	return "", false
}

// letters is a name without case, spaces and signs.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

var (
	nemoCode  = regexp.MustCompile(`(?i)^s(\d{1,2})\b`)
	nemoHarm  = regexp.MustCompile(`(?im)^\s*(?:prompt|response) harm\s*:\s*(harmful|unharmful)\b`)
	nemoCodes = regexp.MustCompile(`(?i)^(?:unsafe[\s,:]+)?s\d{1,2}(?:[\s,]+s\d{1,2})*$`)
	nemoTopic = regexp.MustCompile(`(?i)^(on|off)[- ]topic[.]?$`)
)

func isNemoGuard(d document) bool {
	return !d.list && (d.hasOne("User Safety", "Response Safety", "Safety Categories") || d.has("jailbreak", "score"))
}

func isNemoText(output string) bool {
	return nemoHarm.MatchString(output) || nemoTopic.MatchString(output) || nemoCodes.MatchString(output)
}

// parseNemoGuard reads the answers of NVIDIA's content safety, jailbreak detection and topic control models.
// Categories go by name; a code is turned into the name that it has in the model of the detector's name.
func parseNemoGuard(detector, output string) (Output, error) {
	out := Output{Vendor: "nemoguard", Table: "nemoguard-content-safety"}
	if output[0] != '{' {
		nemoText(&out, detector, output)
		return out, nil
	}
	var doc struct {
		User       *string `json:"User Safety"`
		Response   *string `json:"Response Safety"`
		Categories any     `json:"Safety Categories"`
		Jailbreak  *bool
		Score      *float64
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	if doc.Jailbreak != nil {
		if *doc.Jailbreak {
			out.add(yes("jailbreak")) // its score is no probability, and negative for clean
		}
		return out, nil
	}
	for _, c := range nemoList(doc.Categories) {
		if out.add(nemoFinding(detector, c)); out.full() {
			return Output{}, ErrTooMany
		}
	}
	unsafe, known := false, false
	for _, verdict := range []*string{doc.User, doc.Response} {
		if verdict == nil {
			continue
		}
		unsafe = unsafe || strings.EqualFold(*verdict, "unsafe")
		known = known || strings.EqualFold(*verdict, "unsafe") || strings.EqualFold(*verdict, "safe")
	}
	switch {
	case !known:
		return Output{}, ErrShape
	case unsafe && len(out.Findings) == 0:
		out.add(Finding{Native: "unsafe"})
	}
	return out, named(out.Findings)
}

// nemoText reads the verdicts of a text that isNemoText knows.
func nemoText(out *Output, detector, output string) {
	if m := nemoTopic.FindStringSubmatch(output); m != nil && strings.EqualFold(m[1], "off") {
		out.add(Finding{Native: "off-topic"})
	}
	for _, m := range nemoHarm.FindAllStringSubmatch(output, -1) {
		if strings.EqualFold(m[1], "harmful") {
			out.add(Finding{Native: "harmful"})
		}
	}
	if nemoCodes.MatchString(output) {
		for _, code := range guardCode.FindAllString(strings.ToUpper(output), -1) {
			out.add(nemoFinding(detector, code))
		}
	}
}

// nemoList reads the categories: names joined by commas, or a list of them.
func nemoList(v any) (names []string) {
	switch v := v.(type) {
	case string:
		names = strings.Split(v, ",")
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok {
				names = append(names, s)
			}
		}
	}
	kept := names[:0]
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, "none") {
			kept = append(kept, name)
		}
	}
	return kept
}

// nemoFinding names a category. The name decides where a code is with it: "S14: Manipulation".
func nemoFinding(detector, category string) Finding {
	m := nemoCode.FindStringSubmatch(category)
	if m == nil {
		if name, ok := nemoSpelt(category); ok {
			category = name
		}
		return Finding{Native: category}
	}
	if name, ok := nemoSpelt(category[len(m[0]):]); ok {
		return Finding{Native: name}
	}
	code, err := strconv.Atoi(m[1])
	if mentions(detector, "reasoning") && code >= nemoOther {
		code++
	}
	if err != nil || code < 1 || code > len(nemoCategories) {
		return Finding{Native: strings.ToUpper(m[0])}
	}
	return Finding{Native: nemoCategories[code-1]}
}
