package checkpoint

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What can stand in braces in a template, and in an item of evidence.
var (
	templateFields = []string{"kind", "evidence", "finding"}
	itemFields     = []string{"code", "label", "entry", "grade", "percent"}
)

var inBraces = regexp.MustCompile(`\{([^{}]*)\}`)

// unknown checks that what is in braces in a text is one of the fields.
func unknown(what, text string, fields []string) error {
	var errs []error
	check := checker(&errs)
	for _, m := range inBraces.FindAllStringSubmatch(text, -1) {
		check(slices.Contains(fields, m[1]), "%s: {%s} is none of {%s}", what, m[1], strings.Join(fields, "}, {"))
	}
	check(!strings.ContainsAny(inBraces.ReplaceAllString(text, ""), "{}"), "%s has a brace without its other half", what)
	return errors.Join(errs...)
}

// fields checks what is in braces in the template and in the evidence's item.
func (p *Prompt) fields(codec string) error {
	errs := []error{unknown("prompt.template", p.Template, templateFields)}
	check := checker(&errs)
	check(strings.Contains(p.Template, "{finding}"), "prompt.template lacks {finding}, which stands for what is to be mapped")
	if p.Evidence == nil {
		check(!strings.Contains(p.Template, "{evidence}"), "prompt.template has {evidence}, but prompt.evidence is not set")
		return errors.Join(errs...)
	}
	check(strings.Contains(p.Template, "{evidence}"), "prompt.template lacks {evidence}; put it in, or leave lexicon and prompt.evidence out")
	errs = append(errs, unknown("prompt.evidence.item", p.Evidence.Item, itemFields))
	check(codec == "code" || !strings.Contains(p.Evidence.Item, "{code}"), "prompt.evidence.item has {code}, which only codec code has; {label} is the label's name")
	return errors.Join(errs...)
}

var notFound = regexp.MustCompile(`^(line \d+): field (\S+) not found in type checkpoint\.(\w+)$`)

// plain says in words of manifests what the YAML decoder says in words of Go.
func plain(e *yaml.TypeError) error {
	var errs []error
	for _, text := range e.Errors {
		errs = append(errs, errors.New(notFound.ReplaceAllString(text, "$1: $2 is not a key that is known here ($3)")))
	}
	return errors.Join(errs...)
}
