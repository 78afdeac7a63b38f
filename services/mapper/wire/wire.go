// Package wire reads what detectors answer, in their own formats, into findings in their own words. It knows
// formats, not meanings: which canonical label a word stands for is in the tables of config/detectors.
//
// Only names of labels leave a document: text that a vendor quotes from the content it looked at never does.
package wire

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
)

// Limits of one output.
const (
	MaxFindings = 64
	MaxLabel    = 512 // bytes of one label or verdict in words
)

// Finding is one thing a detector said.
type Finding struct {
	Native string   // the label as the vendor writes it, or the words
	Words  string   // what to tell a model, if that is more than Native: a category's name for its code
	Score  *float64 // how strongly, 0 to 1; nil if the detector only named it
	Scale  string   // what Score was made from
	Clean  bool     // the detector says that there is nothing
}

// Output is what a detector answered.
type Output struct {
	Vendor   string // the format: openai, azure, presidio, llama-guard or text
	Table    string // the detector whose table names the labels; "" for text
	Model    string // the model that the document names
	Note     string // something the caller should know about how it was read
	Findings []Finding
}

// Errors of Parse. Their texts hold nothing of the output.
var (
	ErrShape   = errors.New("the JSON is of no format known here; known are the answers of OpenAI moderation, Azure AI Content Safety and Presidio; anything else goes as a label, labels joined by |, or words")
	ErrJSON    = errors.New("the output starts like JSON and is not valid JSON")
	ErrName    = errors.New("a label in the document has more than 64 characters or unusual ones")
	ErrEmpty   = errors.New("the output names no label")
	ErrTooMany = errors.New("the output has more than 64 findings; send them in parts")
	ErrTooLong = errors.New("a label or verdict has more than 512 bytes; send the detector's label, not the content")
)

// Parse reads one output of the named detector. JSON is recognised by its shape, not by the detector's name.
func Parse(detector, output string) (Output, error) {
	output = strings.TrimSpace(output)
	var out Output
	var err error
	switch {
	case output == "":
		return out, ErrEmpty
	case output[0] == '{' || output[0] == '[':
		out, err = parseJSON(output)
	case isLlamaGuard(detector):
		out, err = parseLlamaGuard(detector, output)
	default:
		out, err = parseText(output)
	}
	if err != nil {
		return Output{}, err
	}
	if len(out.Findings) == 0 {
		out.Findings = []Finding{{Native: "clean", Clean: true}}
	}
	if len(out.Findings) > MaxFindings {
		return Output{}, ErrTooMany
	}
	return out, nil
}

// clean are the words with which a detector says that there is nothing, whole and in lower case.
var clean = map[string]bool{
	"safe": true, "clean": true, "benign": true, "none": true, "negative": true, "ok": true, "pass": true, "passed": true, "false": true,
	"no issues": true, "no issues found": true, "not flagged": true, "nothing found": true, "harmless": true, "no violation": true, "0": true,
}

func parseText(output string) (Output, error) {
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
		out.Findings = append(out.Findings, Finding{Native: part, Clean: clean[strings.ToLower(part)]})
	}
	if len(out.Findings) == 0 {
		return out, ErrEmpty
	}
	return out, nil
}

var guardName = regexp.MustCompile(`(?i)llama[-_ ]?guard[-_ ]?v?([1-4])?`)

func isLlamaGuard(detector string) bool { return guardName.MatchString(detector) }

// guardLabels are the names of Llama Guard's categories, from the model cards: the code, then its words.
var guardLabels = map[string][]string{
	"llama-guard-1": {"Violence and Hate", "Sexual Content", "Guns and Illegal Weapons", "Regulated or Controlled Substances", "Suicide and Self Harm", "Criminal Planning"},
	"llama-guard-2": {"Violent Crimes", "Non-Violent Crimes", "Sex-Related Crimes", "Child Sexual Exploitation", "Specialized Advice", "Privacy",
		"Intellectual Property", "Indiscriminate Weapons", "Hate", "Suicide and Self-Harm", "Sexual Content"},
	"llama-guard-3": {"Violent Crimes", "Non-Violent Crimes", "Sex-Related Crimes", "Child Sexual Exploitation", "Defamation", "Specialized Advice",
		"Privacy", "Intellectual Property", "Indiscriminate Weapons", "Hate", "Suicide and Self-Harm", "Sexual Content", "Elections", "Code Interpreter Abuse"},
}

var guardVerdict = regexp.MustCompile(`(?i)^(safe|unsafe)(?:[\s,:]+((?:[so]\d{1,2}[\s,]*)+))?$`)

// parseLlamaGuard reads "safe", or "unsafe" and codes on the next line. Other text is a label like any other.
func parseLlamaGuard(detector, output string) (Output, error) {
	m := guardVerdict.FindStringSubmatch(output)
	if m == nil {
		return parseText(output)
	}
	out := Output{Vendor: "llama-guard", Table: "llama-guard-3"}
	switch guardName.FindStringSubmatch(detector)[1] {
	case "1":
		out.Table = "llama-guard-1"
	case "2":
		out.Table = "llama-guard-2"
	case "":
		out.Note = "the detector's name has no version; codes were read as Llama Guard 3's"
	}
	if strings.EqualFold(m[1], "safe") {
		return out, nil
	}
	for _, code := range strings.FieldsFunc(strings.ToUpper(m[2]), func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r' }) {
		f := Finding{Native: code, Words: code}
		n := 0
		for _, digit := range code[1:] {
			n = n*10 + int(digit-'0')
		}
		if names := guardLabels[out.Table]; n >= 1 && n <= len(names) && (code[0] == 'O') == (out.Table == "llama-guard-1") {
			f.Words = names[n-1]
		}
		out.Findings = append(out.Findings, f)
	}
	if len(out.Findings) == 0 {
		out.Findings = []Finding{{Native: "unsafe"}}
	}
	return out, nil
}

func parseJSON(output string) (Output, error) {
	if err := api.CheckDepth([]byte(output)); err != nil {
		return Output{}, err
	}
	if output[0] == '[' {
		return parsePresidio(output)
	}
	var probe map[string]json.RawMessage
	if err := json.Unmarshal([]byte(output), &probe); err != nil {
		return Output{}, ErrJSON
	}
	if _, ok := probe["results"]; ok {
		return parseOpenAI(output)
	}
	for _, key := range []string{"categoriesAnalysis", "blocklistsMatch", "userPromptAnalysis", "documentsAnalysis", "protectedMaterialAnalysis", "ungroundedDetected"} {
		if _, ok := probe[key]; ok {
			return parseAzure(output)
		}
	}
	return Output{}, ErrShape
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9_/ .:-]{1,64}$`)

// named refuses labels that do not look like labels: they could be content.
func named(findings []Finding) error {
	for _, f := range findings {
		if !nameShape.MatchString(f.Native) {
			return ErrName
		}
	}
	return nil
}
