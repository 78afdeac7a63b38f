package framework

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a pack says, in characters. They keep it to ids and short words of our own.
const (
	maxID    = 40
	maxTitle = 80
	maxWhy   = 200
)

var frameworkID = regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$`)

// reading is a pack on its way into a set. It collects mistakes instead of stopping at the first.
type reading struct {
	name   string
	labels []string
	errs   []error
}

func (r *reading) mistake(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", r.name, fmt.Sprintf(format, args...)))
}

// text wants one line of at most limit characters.
func (r *reading) text(key, s string, limit int) {
	switch n := utf8.RuneCountInString(s); {
	case s == "" || s != strings.TrimSpace(s):
		r.mistake("%s: it is empty, or has spaces around it; give a short text", key)
	case n > limit:
		r.mistake("%s: it has %d characters, at most %d; shorten it", key, n, limit)
	case strings.ContainsFunc(s, unicode.IsControl):
		r.mistake("%s: it has a line break or a control character; write one line", key)
	}
}

// day wants a date, or nothing.
func (r *reading) day(key, s string) string {
	if _, err := time.Parse(time.DateOnly, s); s != "" && err != nil {
		r.mistake("%s: %q is not a day; write YYYY-MM-DD", key, s)
	}
	return s
}

// match says how exactly each label is covered by the patterns: the length of its pattern, or more than any if named.
func (r *reading) match(key string, patterns []string) map[string]int {
	covered := map[string]int{}
	if len(patterns) == 0 {
		r.mistake("%s: it has no labels; list some", key)
	}
	for _, pattern := range patterns {
		hit := false
		for _, label := range r.labels {
			exactness := math.MaxInt
			if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
				if !strings.HasSuffix(prefix, ".") || !strings.HasPrefix(label, prefix) {
					continue
				}
				exactness = len(prefix)
			} else if pattern != label {
				continue
			}
			hit = true
			if covered[label] != 0 {
				r.mistake("%s: %s covers %s a second time; remove one", key, pattern, label)
			}
			covered[label] = exactness
		}
		if !hit {
			r.mistake("%s: %s matches no label of the taxonomy; correct or remove it", key, pattern)
		}
	}
	return covered
}

// header checks what a pack says of its framework.
func (r *reading) header(p *pack) {
	if !frameworkID.MatchString(p.ID) || len(p.ID) > maxID || r.name != strings.ToLower(p.ID)+".yaml" {
		r.mistake("id: %q must be in capitals, with digits and hyphens, and the file must be named after it", p.ID)
	}
	r.text("name", p.Name, maxTitle)
	r.text("edition", p.Edition, maxTitle)
	if !slices.ContainsFunc([]string{"2006", "2006-01", time.DateOnly}, func(layout string) bool {
		_, err := time.Parse(layout, p.Published)
		return err == nil
	}) {
		r.mistake("published: %q is not a date; write YYYY, YYYY-MM or YYYY-MM-DD", p.Published)
	}
	if r.day("revised", p.Revised) == "" {
		r.mistake("revised: it is missing; write the day of the last change")
	}
	if !strings.HasPrefix(p.Source, "https://") {
		r.mistake("source: %q must be an https address of who issued the framework", p.Source)
	}
	r.day("applies_from", p.AppliesFrom)
	if len(p.Controls) == 0 {
		r.mistake("controls: there is none; list those that a label can concern")
	}
}

// add checks a pack and puts it into the set.
func (s *Set) add(name string, p *pack, labels []string) error {
	r := &reading{name: name, labels: labels}
	r.header(p)
	f := Framework{ID: p.ID, Name: p.Name, Edition: p.Edition, Published: p.Published, Source: p.Source}
	concerned := map[string]bool{}
	for _, c := range p.Controls {
		r.text("controls: id "+c.ID, c.ID, maxID)
		r.text(c.ID+": title", c.Title, maxTitle)
		if slices.ContainsFunc(f.Controls, func(o Control) bool { return o.ID == c.ID }) {
			r.mistake("%s: it is there twice; merge the two", c.ID)
		}
		for i, old := range c.Replaces {
			r.text(c.ID+": replaces", old, maxID)
			if slices.Contains(c.Replaces[:i], old) {
				r.mistake("%s: replaces: %s is there twice; remove one", c.ID, old)
			}
		}
		from := cmp.Or(r.day(c.ID+": applies_from", c.AppliesFrom), p.AppliesFrom)
		f.Controls = append(f.Controls, Control{ID: c.ID, Title: c.Title, AppliesFrom: from, Replaces: c.Replaces})
		s.control(r, f, c.Edges, concerned)
	}
	s.none(r, p, concerned)
	s.frameworks = append(s.frameworks, f)
	return errors.Join(r.errs...)
}

// claim is an edge's wish for a label.
type claim struct {
	edge      Edge
	exactness int
}

// control adds the edges of the framework's last control. Of several for a label the most exact wins.
func (s *Set) control(r *reading, f Framework, edges []packEdge, concerned map[string]bool) {
	c := f.Controls[len(f.Controls)-1]
	if len(edges) == 0 {
		r.mistake("%s: no label leads to it; add an edge, or remove it", c.ID)
	}
	claims := map[string][]claim{}
	for i, e := range edges {
		key := fmt.Sprintf("%s: edge %d", c.ID, i+1)
		if !slices.Contains([]Relation{Violates, Detects, Evidences}, e.Relation) {
			r.mistake("%s: relation: %q is not violates, detects or evidences", key, e.Relation)
		}
		r.text(key+": why", e.Why, maxWhy)
		from := max(r.day(key+": from", e.From), c.AppliesFrom)
		if r.day(key+": to", e.To) != "" && e.To < from {
			r.mistake("%s: to: %s is before %s, when it begins; correct one", key, e.To, from)
		}
		s.places++
		edge := Edge{
			Framework: f.ID, Edition: f.Edition, Control: c.ID, Title: c.Title,
			Relation: e.Relation, Rationale: e.Why, From: from, To: e.To, place: s.places,
		}
		for label, exactness := range r.match(key, e.Labels) { // one claim to each, so their order does not matter
			claims[label] = append(claims[label], claim{edge, exactness})
		}
	}
	used := map[int]bool{}
	for _, label := range r.labels {
		for _, edge := range r.strongest(c.ID, label, claims[label]) {
			s.edges[label] = append(s.edges[label], edge)
			used[edge.place], concerned[label] = true, true
		}
	}
	for i := range edges {
		if !used[s.places-len(edges)+i+1] {
			r.mistake("%s: edge %d: no label is left for it, others are more exact; remove it", c.ID, i+1)
		}
	}
}

// strongest picks the most exact claims to a label; two of them may not hold on the same day.
func (r *reading) strongest(control, label string, claims []claim) []Edge {
	best := 0
	for _, c := range claims {
		best = max(best, c.exactness)
	}
	var edges []Edge
	for _, c := range claims {
		if c.exactness < best {
			continue
		}
		for _, e := range edges {
			if e.holds(max(e.From, c.edge.From)) && c.edge.holds(max(e.From, c.edge.From)) {
				r.mistake("%s: two edges lead from %s at once; merge them, or part their days", control, label)
			}
		}
		edges = append(edges, c.edge)
	}
	return edges
}

// none adds the reasons. Each label has an edge or one reason; a reason by pattern passes over labels with edges.
func (s *Set) none(r *reading, p *pack, concerned map[string]bool) {
	best := map[string]int{}
	why := map[string]string{}
	for i, n := range p.None {
		key := fmt.Sprintf("none: entry %d", i+1)
		r.text(key+": why", n.Why, maxWhy)
		left, covered := false, r.match(key, n.Labels)
		for _, label := range r.labels {
			exactness := covered[label]
			switch {
			case exactness == 0:
				continue
			case concerned[label] && exactness == math.MaxInt:
				r.mistake("%s: %s has an edge; remove the one or the other", key, label)
			case exactness == best[label]:
				r.mistake("%s: %s has a reason already; remove one", key, label)
			case exactness > best[label]:
				best[label], why[label] = exactness, n.Why
			}
			left = left || !concerned[label]
		}
		if !left && len(n.Labels) > 0 {
			r.mistake("%s: all its labels have edges; remove it", key)
		}
	}
	for _, label := range r.labels {
		switch {
		case concerned[label]:
		case why[label] == "":
			r.mistake("%s has neither an edge nor a reason; add it to a control or to none", label)
		default:
			s.reasons[label] = append(s.reasons[label], Reason{Framework: p.ID, Why: why[label]})
		}
	}
}
