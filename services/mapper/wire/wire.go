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
		out, err = parseText(detector, output)
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

var spaces = strings.NewReplacer("_", " ", "-", " ")

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
	if strings.Contains(strings.ToLower(detector), "azure") {
		if f, ok := azureLevel(part); ok {
			return f
		}
	}
	words := strings.TrimRight(spaces.Replace(strings.ToLower(part)), " .!")
	f := Finding{Native: part, Clean: clean[words]}
	if bare[words] {
		f.Words = "flagged"
	}
	return f
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
	for _, key := range azureKeys {
		if value, ok := probe[key]; ok && string(value) != "null" {
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
