package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// What a template has for the content and its type.
const (
	contentPlace = "{{content}}"
	typePlace    = "{{content_type}}"
)

// generic is a detector that takes JSON by POST, and whose answer has findings at a path.
type generic struct {
	template               any
	findings, label, score path
	start, end             path
	scored, placed         bool
	scale, unit            string
}

var scaleShape = regexp.MustCompile(`^(|probability|percent|0-[1-9]\d{0,3})$`)

func newGeneric(s *Spec) (protocol, []error) {
	var f faults
	g := generic{scored: s.Findings.Score != "", placed: s.Findings.Start != "", scale: s.Findings.Scale, unit: s.Findings.Unit}
	d := json.NewDecoder(strings.NewReader(s.Template))
	d.UseNumber()
	err := api.CheckDepth([]byte(s.Template))
	f.check(err == nil && json.Valid([]byte(s.Template)) && d.Decode(&g.template) == nil, "template: it must be JSON, with %s in a string", contentPlace)
	f.check(strings.Contains(s.Template, contentPlace), "template: it must have %s", contentPlace)
	for _, at := range []struct {
		name, text string
		into       *path
	}{
		{"path", s.Findings.Path, &g.findings}, {"label", s.Findings.Label, &g.label}, {"score", s.Findings.Score, &g.score},
		{"start", s.Findings.Start, &g.start}, {"end", s.Findings.End, &g.end},
	} {
		*at.into, err = parsePath(at.text)
		f.check(err == nil, "findings.%s: %w", at.name, err)
		f.check(at.name == "path" || !at.into.many(), "findings.%s: it must lead to one value, without [*]", at.name)
	}
	f.check(s.Findings.Path != "" && s.Findings.Label != "", "findings: path and label must be there; path $ is the whole answer")
	f.check((s.Findings.Start == "") == (s.Findings.End == ""), "findings: set both of start and end, or none")
	f.check(scaleShape.MatchString(g.scale), "findings.scale: it must be probability, percent or 0-N")
	f.check(slices.Contains([]string{"", "code_points", "bytes", "utf16"}, g.unit), "findings.unit: it must be code_points, bytes or utf16")
	return g, f
}

func (generic) query() url.Values { return nil }

func (g generic) body(in detect.Input) any {
	return fill(g.template, strings.NewReplacer(contentPlace, in.Content, typePlace, string(in.Type)))
}

// fill is a copy of a JSON value with the places in its strings filled in. What is filled in stays a part of its string.
func fill(v any, places *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return places.Replace(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fill(v[i], places)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			out[key] = fill(v[key], places)
		}
		return out
	}
	return v
}

// ownFinding is a finding in the form of our own that wire reads.
type ownFinding struct {
	Label string `json:"label"`
	Score any    `json:"score,omitempty"`
	Scale string `json:"scale,omitempty"`
	Start any    `json:"start,omitempty"`
	End   any    `json:"end,omitempty"`
}

// read writes what the paths lead to in a form of our own, and has wire read that: it refuses what looks like no label,
// for it may be content.
func (g generic) read(_ detect.Input, answer string) (wire.Output, error) {
	d := json.NewDecoder(strings.NewReader(answer))
	d.UseNumber()
	var doc any
	if err := api.CheckDepth([]byte(answer)); err != nil {
		return wire.Output{}, wire.ErrShape
	}
	if err := d.Decode(&doc); err != nil {
		return wire.Output{}, wire.ErrShape
	}
	found := []ownFinding{}
	err := g.findings.each(doc, func(v any) error {
		f, err := g.finding(v)
		if found = append(found, f); len(found) > maxFound {
			return wire.ErrTooMany
		}
		return err
	})
	if err != nil {
		return wire.Output{}, err
	}
	var own bytes.Buffer
	if err := json.NewEncoder(&own).Encode(map[string]any{"findings": found}); err != nil {
		return wire.Output{}, fmt.Errorf("findings: %w", err)
	}
	out, err := of("own-", own.String(), "own")
	for i := range out.Findings {
		for j := range out.Findings[i].Spans {
			out.Findings[i].Spans[j] = counted(out.Findings[i].Spans[j], g.unit)
		}
	}
	return out, err
}

// maxFound is how many findings an answer may have before those of one label are taken together.
const maxFound = 4096

var errValue = errors.New("the answer has a value of another type than its path says")

func (g generic) finding(v any) (f ownFinding, err error) {
	label, err := g.label.one(v)
	if err != nil {
		return f, err
	}
	var isText bool
	if f.Label, isText = label.(string); !isText {
		return f, errValue
	}
	if g.scored {
		if f.Score, err = number(g.score, v); err != nil {
			return f, err
		}
		f.Scale = g.scale
	}
	if g.placed {
		if f.Start, err = number(g.start, v); err != nil {
			return f, err
		}
		f.End, err = number(g.end, v)
	}
	return f, err
}

// number is the number at a path; nil where null is.
func number(p path, v any) (any, error) {
	n, err := p.one(v)
	if err != nil {
		return nil, err
	}
	if _, ok := n.(json.Number); !ok && n != nil {
		return nil, errValue
	}
	return n, nil
}

// counted is a span that was read as code points, in the unit that it was counted in.
func counted(s wire.Span, unit string) wire.Span {
	switch unit {
	case "bytes":
		return wire.Span{Byte: s.Rune}
	case "utf16":
		return wire.Span{UTF16: s.Rune}
	}
	return s
}
