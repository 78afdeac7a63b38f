package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// Limits of a policy.
const (
	MaxPolicy    = 64 << 10 // bytes
	MaxRego      = 32 << 10 // bytes of it
	maxDetectors = 50
	maxRules     = 200
	maxList      = 100 // entries of any list or map in a detector or a rule
	maxText      = 500 // bytes of a description
	maxNative    = 256 // bytes of a native label
	maxWeight    = 1000
	maxFaults    = 20 // that are told at once
)

// What holds where a policy does not say. A required detector that does not answer has a person look; others are let
// pass. Labels are flagged, and findings without a label looked at.
const (
	defaultDeadline  = 2000
	defaultThreshold = 0.5
	defaultMinimum   = 0.8
)

var (
	everyType    = []api.ContentType{api.ContentCode, api.ContentDocument, api.ContentImage, api.ContentText} // sorted
	defaultRules = []Rule{{Labels: []string{"*"}, Action: api.ActionFlag}}
	nameShape    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	labelShape   = regexp.MustCompile(`^[A-Za-z0-9_.]{0,100}\*?[A-Za-z0-9_.]{0,100}$`)
)

// document is a policy as it is written: what may be left out, and has another default than 0, is a pointer.
type document struct {
	Name         string                       `yaml:"name"`
	Description  string                       `yaml:"description"`
	DeadlineMS   *int                         `yaml:"deadline_ms"`
	ContentTypes []api.ContentType            `yaml:"content_types"`
	Detectors    map[string]detectorDocument  `yaml:"detectors"`
	Coverage     coverageDocument             `yaml:"coverage"`
	Conflict     map[api.ContentType]Strategy `yaml:"conflict"`
	Prefer       []string                     `yaml:"prefer"`
	Rules        []ruleDocument               `yaml:"rules"`
	Unmapped     api.Action                   `yaml:"unmapped"`
	Shadow       struct {
		Policy string `yaml:"policy"`
	} `yaml:"shadow"`
	Rego string `yaml:"rego"`
}

type detectorDocument struct {
	Mode         Mode               `yaml:"mode"`
	OnError      api.Action         `yaml:"on_error"`
	Weight       *float64           `yaml:"weight"`
	Threshold    *float64           `yaml:"threshold"`
	Thresholds   map[string]float64 `yaml:"thresholds"`
	TimeoutMS    int                `yaml:"timeout_ms"`
	ContentTypes []api.ContentType  `yaml:"content_types"`
	Excludable   bool               `yaml:"excludable"`
}

type coverageDocument struct {
	Method     Method   `yaml:"method"`
	Minimum    *float64 `yaml:"minimum"`
	Categories []string `yaml:"categories"`
}

type ruleDocument struct {
	Labels        []string   `yaml:"labels"`
	MinScore      float64    `yaml:"min_score"`
	MinConfidence float64    `yaml:"min_confidence"`
	Action        api.Action `yaml:"action"`
}

// Parse reads a policy. Its error is an *api.Error that lists what is wrong, with lines.
func Parse(raw []byte) (*Policy, error) {
	if len(raw) > MaxPolicy {
		return nil, api.Errorf(api.PayloadTooLarge, "a policy has at most %d bytes", MaxPolicy)
	}
	p, faults := check(raw)
	if len(faults) == 0 {
		return p.made(), nil
	}
	var told []string
	for _, f := range faults[:min(len(faults), maxFaults)] {
		told = append(told, f.String())
	}
	if n := len(faults) - maxFaults; n > 0 {
		told = append(told, fmt.Sprintf("and %d more", n))
	}
	return nil, api.Errorf(api.InvalidRequest, "the policy has faults: %s", strings.Join(told, "; "))
}

// fault is something that is wrong with a policy.
type fault struct {
	line int
	text string
}

// String writes a fault with its line.
func (f fault) String() string { return fmt.Sprintf("line %d, %s", f.line, f.text) }

// check reads a policy. It is whole only if there are no faults.
func check(raw []byte) (*Policy, []fault) {
	var doc document
	if err := config.Strict(raw, &doc); err != nil {
		return nil, unreadable(err)
	}
	c := checker{root: nodes(raw)}
	p := c.policy(doc)
	return p, c.faults
}

var (
	lineOf = regexp.MustCompile(`line (\d+): (.*)`)
	inType = regexp.MustCompile(` (in type|into) \*?policy\.\w+`)
)

// unreadable are the faults that YAML finds, without our types' names.
func unreadable(err error) (faults []fault) {
	for _, m := range lineOf.FindAllStringSubmatch(err.Error(), -1) {
		n, err := strconv.Atoi(m[1])
		if err == nil {
			faults = append(faults, fault{n, inType.ReplaceAllString(m[2], "")})
		}
	}
	if len(faults) == 0 {
		return []fault{{1, strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	return faults
}

// checker turns a document into a policy and gathers what is wrong with it.
type checker struct {
	root   *yaml.Node
	faults []fault
}

func (c *checker) fail(place []any, format string, args ...any) {
	c.faults = append(c.faults, fault{line(c.root, place...), path(place) + ": " + fmt.Sprintf(format, args...)})
}

func (c *checker) policy(doc document) *Policy {
	p := &Policy{
		Name: doc.Name, Description: doc.Description, DeadlineMS: or(doc.DeadlineMS, defaultDeadline),
		Detectors: map[string]Detector{}, Conflict: c.conflict(doc.Conflict), Prefer: doc.Prefer,
		Unmapped: c.action(doc.Unmapped, api.ActionReview, api.Actions, "unmapped"), Shadow: ShadowPolicy(doc.Shadow), Rego: doc.Rego,
	}
	p.ContentTypes = c.types(doc.ContentTypes, everyType, "content_types")
	if !nameShape.MatchString(p.Name) {
		c.fail([]any{"name"}, "name it with 1 to 64 letters, digits, dots, lines and underscores")
	}
	if len(p.Description) > maxText {
		c.fail([]any{"description"}, "%d bytes are enough", maxText)
	}
	if most := int(api.MaxAsync.Milliseconds()); p.DeadlineMS < 1 || p.DeadlineMS > most {
		c.fail([]any{"deadline_ms"}, "it must be 1 to %d", most)
	}
	if len(p.Rego) > MaxRego {
		c.fail([]any{"rego"}, "%d bytes are enough", MaxRego)
	}
	if p.Shadow.Policy != "" && (p.Shadow.Policy == p.Name || !nameShape.MatchString(p.Shadow.Policy)) {
		c.fail([]any{"shadow", "policy"}, "name another policy of yours")
	}
	c.count(len(doc.Detectors), maxDetectors, "detectors")
	c.count(len(doc.Rules), maxRules, "rules")
	for _, name := range slices.Sorted(maps.Keys(doc.Detectors)) {
		p.Detectors[name] = c.detector(doc.Detectors[name], name, p.ContentTypes)
	}
	c.names(p.Prefer, "prefer")
	p.Coverage = c.coverage(doc.Coverage)
	for i, r := range doc.Rules {
		p.Rules = append(p.Rules, c.rule(r, i))
	}
	if len(p.Rules) == 0 {
		p.Rules = slices.Clone(defaultRules)
	}
	return p
}

func (c *checker) detector(doc detectorDocument, name string, types []api.ContentType) Detector {
	at := func(member ...any) []any { return append([]any{"detectors", name}, member...) }
	d := Detector{
		Mode: doc.Mode, Weight: or(doc.Weight, 1), Threshold: or(doc.Threshold, defaultThreshold),
		Thresholds: doc.Thresholds, TimeoutMS: doc.TimeoutMS, Excludable: doc.Excludable,
	}
	otherwise := api.ActionAllow
	switch d.Mode {
	case "":
		d.Mode = Optional
	case Optional, Shadow:
	case Required:
		otherwise = api.ActionReview
		if d.Excludable {
			c.fail(at("excludable"), "a required detector cannot be left out; make it optional")
		}
	default:
		c.fail(at("mode"), "it must be required, optional or shadow")
	}
	d.OnError = c.action(doc.OnError, otherwise, []api.Action{api.ActionBlock, api.ActionAllow, api.ActionReview}, at("on_error")...)
	d.ContentTypes = c.types(doc.ContentTypes, types, at("content_types")...)
	if !nameShape.MatchString(name) {
		c.fail(at(), "a detector's name has 1 to 64 letters, digits, dots, lines and underscores")
	}
	if !(d.Weight > 0 && d.Weight <= maxWeight) {
		c.fail(at("weight"), "it must be above 0 and at most %d", maxWeight)
	}
	c.share(d.Threshold, at("threshold")...)
	c.count(len(d.Thresholds), maxList, at("thresholds")...)
	for native, t := range d.Thresholds {
		c.share(t, at("thresholds", native)...)
		if len(native) > maxNative {
			c.fail(at("thresholds"), "no detector has a label of more than %d bytes", maxNative)
		}
	}
	if most := int(api.MaxAsync.Milliseconds()); d.TimeoutMS < 0 || d.TimeoutMS > most {
		c.fail(at("timeout_ms"), "it must be 1 to %d, or left out", most)
	}
	return d
}

func (c *checker) coverage(doc coverageDocument) CoverageRule {
	r := CoverageRule{Method: doc.Method, Minimum: or(doc.Minimum, defaultMinimum), Categories: doc.Categories}
	if r.Method == "" {
		r.Method = RequiredSet
	}
	if !slices.Contains(methods, r.Method) {
		c.fail([]any{"coverage", "method"}, "it must be REQUIRED_SET, WEIGHTED_COVERAGE, TAXONOMY_COVERAGE or CHARACTERS")
	}
	if r.Method == TaxonomyCoverage && len(r.Categories) == 0 {
		c.fail([]any{"coverage"}, "say which categories TAXONOMY_COVERAGE is of")
	}
	c.share(r.Minimum, "coverage", "minimum")
	c.names(r.Categories, "coverage", "categories")
	return r
}

func (c *checker) rule(doc ruleDocument, i int) Rule {
	c.share(doc.MinScore, "rules", i, "min_score")
	c.share(doc.MinConfidence, "rules", i, "min_confidence")
	c.count(len(doc.Labels), maxList, "rules", i, "labels")
	if len(doc.Labels) == 0 {
		c.fail([]any{"rules", i}, "say which labels it is for")
	}
	for j, pattern := range doc.Labels {
		if pattern == "" || !labelShape.MatchString(pattern) {
			c.fail([]any{"rules", i, "labels", j}, "a label is letters, digits, dots and underscores, in which one * stands for anything")
		}
	}
	if doc.Action == "" {
		c.fail([]any{"rules", i}, "say which action it has")
	}
	return Rule{doc.Labels, doc.MinScore, doc.MinConfidence, c.action(doc.Action, api.ActionFlag, api.Actions, "rules", i, "action")}
}

func (c *checker) conflict(doc map[api.ContentType]Strategy) map[api.ContentType]Strategy {
	out := maps.Clone(defaultStrategies)
	for t, s := range doc {
		if !slices.Contains(everyType, t) {
			c.fail([]any{"conflict"}, "content types are text, code, document and image")
		}
		if _, ok := strategies[s]; !ok {
			c.fail([]any{"conflict", string(t)}, "it must be one of %s", list(slices.Sorted(maps.Keys(strategies))))
		}
		out[t] = s
	}
	return out
}

func (c *checker) action(a, otherwise api.Action, of []api.Action, place ...any) api.Action {
	if a == "" {
		return otherwise
	}
	if !slices.Contains(of, a) {
		c.fail(place, "it must be one of %s", list(of))
	}
	return a
}

func (c *checker) types(doc, otherwise []api.ContentType, place ...any) []api.ContentType {
	if len(doc) == 0 {
		return otherwise
	}
	for _, t := range doc {
		if !slices.Contains(everyType, t) {
			c.fail(place, "content types are text, code, document and image")
		}
	}
	slices.Sort(doc)
	return slices.Compact(doc)
}

func (c *checker) names(names []string, place ...any) {
	c.count(len(names), maxList, place...)
	for i, n := range names {
		if !nameShape.MatchString(n) {
			c.fail(append(slices.Clone(place), i), "a name has 1 to 64 letters, digits, dots, lines and underscores")
		}
	}
}

func (c *checker) count(n, most int, place ...any) {
	if n > most {
		c.fail(place, "it has %d entries; %d are the most", n, most)
	}
}

func (c *checker) share(v float64, place ...any) {
	if !(v >= 0 && v <= 1) { // NaN is neither
		c.fail(place, "it must be 0 to 1")
	}
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

func list[T ~string](of []T) string {
	words := make([]string, len(of))
	for i, w := range of {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}
