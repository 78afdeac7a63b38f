package wire

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// guardName finds a version in names such as llama-guard-2, Meta-Llama-Guard-2-8B and llama-guard3:8b. A number
// with a b is a size.
var guardName = regexp.MustCompile(`(?i)llama[-_ ]?guard[-_ .:]*v?(?:(\d+)(b\b)?)?`)

func isLlamaGuard(detector string) bool { return guardName.MatchString(detector) }

// guardTable returns the table that a detector's name asks for, "" if it has no version.
func guardTable(detector string) string {
	m := guardName.FindStringSubmatch(detector)
	switch {
	case m[1] == "7" && m[2] != "": // LlamaGuard-7b is the first
		return "llama-guard-1"
	case m[2] != "":
		return ""
	case m[1] == "1" || m[1] == "2" || m[1] == "3":
		return "llama-guard-" + m[1]
	case m[1] == "4":
		return "llama-guard-3"
	}
	return ""
}

// guardLabels are the names of Llama Guard's categories in the order of their codes: S1 to S14 and S1 to S11 as
// the model cards of 3 and 2 have them, O1 to O6 as the prompt that the first model was trained with has them.
// (The first model's card lists the same six in another order, and without codes.)
var guardLabels = map[string][]string{
	"llama-guard-1": {"Violence and Hate", "Sexual Content", "Criminal Planning", "Guns and Illegal Weapons", "Regulated or Controlled Substances", "Suicide and Self Harm"},
	"llama-guard-2": {"Violent Crimes", "Non-Violent Crimes", "Sex-Related Crimes", "Child Sexual Exploitation", "Specialized Advice", "Privacy",
		"Intellectual Property", "Indiscriminate Weapons", "Hate", "Suicide and Self-Harm", "Sexual Content"},
	"llama-guard-3": {"Violent Crimes", "Non-Violent Crimes", "Sex-Related Crimes", "Child Sexual Exploitation", "Defamation", "Specialized Advice",
		"Privacy", "Intellectual Property", "Indiscriminate Weapons", "Hate", "Suicide and Self-Harm", "Sexual Content", "Elections", "Code Interpreter Abuse"},
}

var (
	guardVerdict = regexp.MustCompile(`(?i)^(?:(safe)|unsafe|(?:unsafe[\s,:|]+)?([so]\d{1,2}(?:[\s,|]+[so]\d{1,2})*))[\s,.]*$`)
	guardCode    = regexp.MustCompile(`[SO]\d+`)
)

// isGuardText says whether a text is a verdict. Other text, such as "safe" with a code, is a label like any other.
func isGuardText(output string) bool { return guardVerdict.MatchString(output) }

// parseLlamaGuard reads "safe", or "unsafe" with codes on the next line, or codes alone.
func parseLlamaGuard(detector, output string) (Output, error) {
	m := guardVerdict.FindStringSubmatch(output)
	codes := guardCode.FindAllString(strings.ToUpper(m[2]), -1)
	out := Output{Vendor: "llama-guard", Table: guardTable(detector)}
	switch {
	case out.Table != "":
	case slices.ContainsFunc(codes, func(c string) bool { return c[0] == 'O' }):
		out.Table = "llama-guard-1"
		out.Note = "the detector's name has no version known here; O codes are Llama Guard 1's"
	default:
		out.Table = "llama-guard-3"
		out.Note = "the detector's name has no version known here; codes were read as Llama Guard 3's"
	}
	if m[1] != "" {
		return out, nil
	}
	if len(codes) == 0 {
		out.Findings = []Finding{{Native: "unsafe"}}
	}
	for _, code := range codes {
		out.add(Finding{Native: code, Words: guardWords(out.Table, code)})
	}
	return out, nil
}

// HasCode says whether a label can be of a detector whose codes are known: false for a code that its model lacks.
func HasCode(detector, label string) bool {
	names, known := guardLabels[detector]
	if !known || !codeShape.MatchString(label) {
		return true
	}
	n, _ := strconv.Atoi(label[1:])
	return n >= 1 && n <= len(names) && (label[0]|0x20 == 'o') == (detector == "llama-guard-1")
}

var codeShape = regexp.MustCompile(`^[SOso]\d{1,2}$`)

// guardWords names a code; a code that the model does not have stays what it is.
func guardWords(table, code string) string {
	names := guardLabels[table]
	n, _ := strconv.Atoi(code[1:])
	if n < 1 || n > len(names) || (code[0] == 'O') != (table == "llama-guard-1") {
		return code
	}
	return names[n-1]
}
