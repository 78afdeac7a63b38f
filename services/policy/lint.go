package policy

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/lint"
)

// LintRules are what policies are held to beside what Parse refuses, by name.
var LintRules = map[string]string{
	"syntax":      "A policy is as Parse wants it.",
	"rego":        "A policy's program compiles.",
	"unreachable": "A rule decides some label: no rule before it takes all of them.",
	"no-label":    "A rule's patterns, and categories, are of the taxonomy.",
	"no-trigger":  "Some detector of the policy can say what a rule is for.",
	"no-weight":   "Where coverage is weighted, required detectors have a weight.",
	"timeout":     "A detector has no longer than the request.",
	"no-detector": "For every type of content that a policy takes, a detector counts.",
	"never-asked": "A detector is asked about some content that the policy takes.",
	"prefer":      "An order of preference names detectors that count, and is there if a strategy needs it.",
	"excludable":  "That a caller leaves a detector out does not by itself change the action.",
}

// Known is what a policy is held against.
type Known struct {
	Labels   []string                   // of the taxonomy
	Says     map[string][]string        // labels that detectors can say, by their names; one that is missing may say any
	Programs func(program string) error // what is wrong with a program; nil does not look
}

// Lint says what in a policy is likely a mistake. Problems come in the order of lines.
func Lint(file string, raw []byte, known Known) []lint.Problem {
	if len(raw) > MaxPolicy {
		return []lint.Problem{{File: file, Line: 1, Rule: "syntax", Text: fmt.Sprintf("a policy has at most %d bytes", MaxPolicy)}}
	}
	p, faults := check(raw)
	l := &linter{file: file, root: nodes(raw), p: p, known: known}
	for _, f := range faults {
		l.problems = append(l.problems, lint.Problem{File: file, Line: f.line, Rule: "syntax", Text: f.text})
	}
	if len(faults) == 0 {
		l.detectors()
		l.content()
		l.rules()
		l.coverage()
		l.prefer()
		l.rego()
	}
	lint.Sort(l.problems)
	return l.problems
}

type linter struct {
	file     string
	root     *yaml.Node
	p        *Policy
	known    Known
	problems []lint.Problem
}

func (l *linter) add(rule string, place []any, format string, args ...any) {
	l.problems = append(l.problems, lint.Problem{File: l.file, Line: line(l.root, place...), Rule: rule, Text: fmt.Sprintf(format, args...)})
}

func (l *linter) detectors() {
	for _, name := range slices.Sorted(maps.Keys(l.p.Detectors)) {
		d, at := l.p.Detectors[name], []any{"detectors", name}
		if d.TimeoutMS > l.p.DeadlineMS {
			l.add("timeout", append(at, "timeout_ms"), "%s may take %d ms of a request that has %d; shorten it, or lengthen deadline_ms", name, d.TimeoutMS, l.p.DeadlineMS)
		}
		if !slices.ContainsFunc(d.ContentTypes, l.p.Takes) {
			l.add("never-asked", append(at, "content_types"), "the policy takes no content that %s is asked about", name)
		}
		if d.Excludable && d.OnError != api.ActionAllow {
			l.add("excludable", append(at, "on_error"), "a caller that leaves %s out has its content put to %s; say on_error: allow, or do not let it be left out", name, d.OnError)
		}
		if l.p.Coverage.Method == WeightedCoverage && d.Mode == Required && member(find(l.root, at...), "weight") == nil {
			l.add("no-weight", at, "%s is required; say which weight it has in the coverage", name)
		}
	}
}

func (l *linter) content() {
	for _, t := range l.p.ContentTypes {
		counts := func(d Detector) bool { return d.Mode != Shadow && d.Takes(t) }
		if !slices.ContainsFunc(slices.Collect(maps.Values(l.p.Detectors)), counts) {
			l.add("no-detector", []any{"detectors"}, "no detector counts for %s, so all of it is unverified; give it one, or take it out of content_types", t)
		}
	}
}

func (l *linter) rules() {
	for i, r := range l.p.Rules {
		at := []any{"rules", i}
		if member(l.root, "rules") == nil {
			return // the default
		}
		var of []string
		for k, pattern := range r.Labels {
			matching := slices.DeleteFunc(slices.Clone(l.known.Labels), func(label string) bool { return !matches(pattern, label) })
			if len(matching) == 0 {
				l.add("no-label", append(at, "labels", k), "no label of the taxonomy is like %s", pattern)
			}
			of = append(of, matching...)
		}
		if len(of) > 0 && !slices.ContainsFunc(of, func(label string) bool { return !l.taken(label, i) }) {
			l.add("unreachable", at, "rules before it decide every label that it is for; move it up, or remove it")
		}
		if len(of) > 0 && !slices.ContainsFunc(of, l.said) {
			l.add("no-trigger", at, "no detector of the policy says any label that it is for; add one, or remove the rule")
		}
	}
}

// taken says whether a rule before the i-th decides a label whenever that one would.
func (l *linter) taken(label string, i int) bool {
	r := l.p.Rules[i]
	return slices.ContainsFunc(l.p.Rules[:i], func(before Rule) bool {
		return before.MinScore <= r.MinScore && before.MinConfidence <= r.MinConfidence &&
			slices.ContainsFunc(before.Labels, func(pattern string) bool { return matches(pattern, label) })
	})
}

// said says whether a detector that counts can say a label. What the mapper cannot name is OTHER.Unknown, whoever says it.
func (l *linter) said(label string) bool {
	for name, d := range l.p.Detectors {
		says, known := l.known.Says[name]
		if d.Mode != Shadow && (!known || label == labelUnknown || slices.Contains(says, label)) {
			return true
		}
	}
	return false
}

func (l *linter) coverage() {
	for i, c := range l.p.Coverage.Categories {
		at := []any{"coverage", "categories", i}
		of := slices.DeleteFunc(slices.Clone(l.known.Labels), func(label string) bool { return !within(label, c) })
		if len(of) == 0 {
			l.add("no-label", at, "the taxonomy has no category %s", c)
		} else if !slices.ContainsFunc(of, l.said) {
			l.add("no-trigger", at, "no detector of the policy says any label of %s, so it is never covered", c)
		}
	}
}

func (l *linter) prefer() {
	needed := false
	for _, s := range l.p.Conflict {
		needed = needed || s == TenantPreference
	}
	switch {
	case needed && len(l.p.Prefer) == 0:
		l.add("prefer", []any{"conflict"}, "tenant_preference needs an order; say prefer: [detector, ...]")
	case !needed && len(l.p.Prefer) > 0:
		l.add("prefer", []any{"prefer"}, "no strategy is tenant_preference, so the order is never looked at")
	}
	for i, name := range l.p.Prefer {
		if d, ok := l.p.Detectors[name]; !ok || d.Mode == Shadow {
			l.add("prefer", []any{"prefer", i}, "%s is no detector that counts here", name)
		}
	}
}

func (l *linter) rego() {
	if l.p.Rego == "" || l.known.Programs == nil {
		return
	}
	if err := l.known.Programs(l.p.Rego); err != nil {
		l.add("rego", []any{"rego"}, "%s", api.AsError(err).Message)
	}
}
