// Package wire reads what detectors answer, in their own formats, into findings in their own words. It knows
// formats, not meanings: which canonical label a word stands for is in the tables of config/detectors.
//
// Only names of labels, values of scales and positions leave a document: text that a vendor quotes from the content
// it looked at never does.
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
	maxName     = 64  // bytes of a label in a document
)

// Output is what a detector answered.
type Output struct {
	Vendor   string // the format, one of Vendors
	Table    string // the detector whose table names the labels, whatever the caller calls it; "" for none
	Fallback string // the detector whose table does, where the caller's own has none
	Model    string // the model that the document names
	Note     string // something the caller should know about how it was read
	Findings []Finding
}

// Errors of Parse. Their texts hold nothing of the output.
var (
	ErrShape   = errors.New(`the JSON is of no format known here, or lacks its verdict; known are the answers of the vendors that the API description lists; anything else goes as {"findings":[{"label":...}]}, as a label, labels joined by |, or words`)
	ErrJSON    = errors.New("the output starts like JSON and is not valid JSON")
	ErrName    = errors.New("a label in the document has more than 64 characters or unusual ones")
	ErrEmpty   = errors.New("the output names no label")
	ErrTooMany = errors.New("the output has more than 64 findings; send them in parts")
	ErrTooLong = errors.New("a label or verdict has more than 512 bytes; send the detector's label, not the content")
	ErrScale   = errors.New("a score is outside of its scale, or the scale is not known; send 0 to 1, or name the scale percent or 0-N")
)

// format is one vendor's way to answer.
type format struct {
	vendor string
	named  func(detector string) bool // the detector's name says this format
	only   bool                       // by its name only, as other formats have the same shape
	shape  func(d document) bool      // the JSON has its members; nil for formats of text
	text   func(output string) bool   // the text has its form; nil for formats of JSON
	parse  func(detector, output string) (Output, error)
}

// formats are tried in their order: first those that the detector's name says, then all of JSON by shape. Text is
// read in a vendor's way only for a detector of that name.
var formats = []format{
	{vendor: "openai", named: is("openai", "moderation"), shape: isOpenAI, parse: parseOpenAI},
	{vendor: "azure", named: is("azure"), shape: isAzure, parse: parseAzure},
	{vendor: "presidio", named: is("presidio"), shape: isPresidio, parse: parsePresidio},
	{vendor: "google-dlp", named: is("dlp", "sensitive-data-protection"), shape: isDLP, parse: parseDLP},
	{vendor: "model-armor", named: is("model-armor", "modelarmor"), shape: isArmor, parse: parseArmor},
	{vendor: "bedrock", named: is("bedrock"), shape: isBedrock, parse: parseBedrock},
	{vendor: "llama-guard", named: isLlamaGuard, text: isGuardText, parse: parseLlamaGuard},
	{vendor: "prompt-guard", named: isPromptGuard, only: true, shape: isClassification, text: isPromptText, parse: parsePromptGuard},
	{vendor: "nemoguard", named: is("nemoguard", "nemotron"), shape: isNemoGuard, text: isNemoText, parse: parseNemoGuard},
	{vendor: "nemo", named: is("nemo"), shape: isNemoRails, parse: parseNemoRails},
	{vendor: "granite-guardian", named: is("granite"), text: isGraniteText, parse: parseGranite},
	{vendor: "perspective", named: is("perspective"), shape: isPerspective, parse: parsePerspective},
	{vendor: "lakera", named: is("lakera"), shape: isLakera, parse: parseLakera},
	{vendor: "llm-guard", named: is("llm-guard", "llm_guard"), shape: isLLMGuard, parse: parseLLMGuard},
	{vendor: "llamafirewall", named: is("firewall"), shape: isFirewall, parse: parseFirewall},
	{vendor: "guardrails-ai", named: is("guardrails-ai", "guardrails_ai"), shape: isGuardrails, parse: parseGuardrails},
	{vendor: "gitleaks", named: is("leaks"), shape: isGitleaks, parse: parseGitleaks},
	{vendor: "sarif", named: is("sarif"), shape: isSARIF, parse: parseSARIF},
	{vendor: "fms", named: is("fms", "trustyai"), shape: isFMS, parse: parseFMS},
	{vendor: "huggingface", named: is("huggingface", "detoxify", "toxic", "bert"), shape: isHuggingFace, parse: parseHuggingFace},
	{vendor: "litellm", named: is("litellm"), shape: isLiteLLM, parse: parseLiteLLM},
	{vendor: "own", named: is("own-"), shape: isOwn, parse: parseOwn},
}

// is makes a test for detectors whose name has one of the words.
func is(words ...string) func(string) bool {
	return func(detector string) bool { return mentions(detector, words...) }
}

// Vendors names the formats that Parse reads.
func Vendors() []string {
	names := []string{"text"}
	for _, f := range formats {
		names = append(names, f.vendor)
	}
	return names
}

// thoughts are what a model that reasons writes before its verdict; they quote content.
var thoughts = regexp.MustCompile(`(?s)<think>.*?</think>`)

// Parse reads one output of the named detector. JSON that has not the shape which the detector's name promises is
// recognised by the shape it has.
func Parse(detector, output string) (Output, error) {
	if output = strings.TrimSpace(output); strings.HasPrefix(output, "<think>") {
		output = strings.TrimSpace(thoughts.ReplaceAllString(output, ""))
	}
	if output == "" {
		return Output{}, ErrEmpty
	}
	parse := parseText
	if output[0] == '{' || output[0] == '[' {
		f, err := recognise(detector, output)
		if err != nil {
			return Output{}, err
		}
		parse = f.parse
	} else {
		for _, f := range formats {
			if f.text != nil && f.named(detector) && f.text(output) {
				parse = f.parse
				break
			}
		}
	}
	out, err := parse(detector, output)
	if err != nil {
		return Output{}, err
	}
	if len(out.Findings) == 0 {
		out.Findings = []Finding{{Native: "clean", Clean: true}}
	}
	if out.full() {
		return Output{}, ErrTooMany
	}
	return out, nil
}

// document is the outside of a JSON output: the members of the object, or of the first object of a list, which may
// be a list of lists.
type document struct {
	list    bool
	empty   bool // a list with nothing in it
	members map[string]json.RawMessage
}

// has says whether all members are there, with a value.
func (d document) has(names ...string) bool {
	for _, name := range names {
		if v, ok := d.members[name]; !ok || string(v) == "null" {
			return false
		}
	}
	return true
}

// hasOne says whether one of the members is there, with a value.
func (d document) hasOne(names ...string) bool {
	for _, name := range names {
		if d.has(name) {
			return true
		}
	}
	return false
}

// object says whether the members are of the output itself.
func (d document) object(names ...string) bool { return !d.list && d.has(names...) }

// rows says whether the members are of the first of a list; an empty list is a list of anything.
func (d document) rows(names ...string) bool { return d.list && (d.empty || d.has(names...)) }

// recognise finds the format of a JSON output.
func recognise(detector, output string) (format, error) {
	if err := api.CheckDepth([]byte(output)); err != nil {
		return format{}, err
	}
	d, err := outside(output)
	if err != nil {
		return format{}, err
	}
	if isEnvelope(d) {
		return format{parse: parseEnvelope}, nil
	}
	for _, byName := range []bool{true, false} {
		for _, f := range formats {
			if f.shape != nil && (!byName && !f.only || f.named(detector)) && f.shape(d) {
				return f, nil
			}
		}
	}
	return format{}, ErrShape
}

// outside reads no more of an output than a format is recognised by.
func outside(output string) (document, error) {
	d := document{list: output[0] == '['}
	inner, err := first(json.RawMessage(output))
	if err != nil {
		return d, ErrJSON
	}
	if d.empty = inner == nil; !d.empty && inner[0] == '{' {
		if err := json.Unmarshal(inner, &d.members); err != nil {
			return d, ErrJSON
		}
	}
	return d, nil
}

// first is the first value in lists of lists that is no list itself, nil if there is none.
func first(raw json.RawMessage) (json.RawMessage, error) {
	if raw[0] != '[' {
		return raw, nil
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if v, err := first(r); v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9_/ .:()&-]{1,64}$`)

// IsName says whether a document may have a label of that form.
func IsName(s string) bool { return nameShape.MatchString(s) }

// named refuses labels that do not look like labels: they could be content.
func named(findings []Finding) error {
	for _, f := range findings {
		if !nameShape.MatchString(f.Native) {
			return ErrName
		}
	}
	return nil
}

// modelName is a model's name as a document has it, "" if it has not the form of one.
func modelName(s string) string {
	if !nameShape.MatchString(s) {
		return ""
	}
	return s
}
