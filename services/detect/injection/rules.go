package injection

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

//go:embed rules.txt
var rulesText string

// concept is a set of words; a word in a rule is one of its own.
type concept uint16

// element is one place of a rule: any of its concepts, at most gap words behind the place before.
type element struct {
	any []concept
	gap int
}

type rule struct {
	label, name string
	score       float64
	elements    []element
}

type stem struct {
	text     string
	concepts []concept
}

// grammar is rules.txt, ready to use. Nothing changes it after parse.
type grammar struct {
	rules    []rule
	first    [][]int // by concept: the rules that begin with it
	words    map[string][]concept
	stems    map[[minStem]byte][]stem
	names    map[string]concept
	concepts int
}

const (
	minStem = 4
	maxSpan = 64 // words that a match can cover: the width of the sets in match.go
)

// parse reads rules.txt; an error names the line.
func parse(text string) (*grammar, error) {
	g := &grammar{words: map[string][]concept{}, stems: map[[minStem]byte][]stem{}, names: map[string]concept{}}
	current, open := concept(0), false
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "= "); ok {
			current, open = g.named("@"+name), true
			continue
		}
		head, body, isRule := strings.Cut(line, ": ")
		if !isRule {
			if !open {
				return nil, fmt.Errorf("line %d: words before a concept", n+1)
			}
			for _, w := range strings.Fields(line) {
				if err := g.add(w, current); err != nil {
					return nil, fmt.Errorf("line %d: %w", n+1, err)
				}
			}
			continue
		}
		r, err := g.rule(head, body)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		g.rules = append(g.rules, r)
	}
	g.first = make([][]int, g.concepts)
	for i, r := range g.rules {
		for _, c := range r.elements[0].any {
			g.first[c] = append(g.first[c], i)
		}
	}
	return g, nil
}

func (g *grammar) named(name string) concept {
	c, ok := g.names[name]
	if !ok {
		c = concept(g.concepts)
		g.names[name] = c
		g.concepts++
	}
	return c
}

func (g *grammar) add(word string, c concept) error {
	if fold.New(word).S != word {
		return fmt.Errorf("%q is not plain", word)
	}
	text, isStem := strings.CutSuffix(word, "*")
	if !isStem {
		for _, has := range g.words[word] {
			if has == c {
				return nil
			}
		}
		g.words[word] = append(g.words[word], c)
		return nil
	}
	if len(text) < minStem {
		return fmt.Errorf("%q is shorter than %d", word, minStem)
	}
	key := [minStem]byte([]byte(text))
	for i, s := range g.stems[key] {
		if s.text == text {
			g.stems[key][i].concepts = append(g.stems[key][i].concepts, c)
			return nil
		}
	}
	g.stems[key] = append(g.stems[key], stem{text, []concept{c}})
	return nil
}

func (g *grammar) rule(head, body string) (rule, error) {
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return rule{}, fmt.Errorf("want LABEL score name, got %q", head)
	}
	score, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return rule{}, err
	}
	r, gap, span := rule{label: fields[0], name: fields[2], score: score}, 0, 0
	for _, f := range strings.Fields(body) {
		if n, err := strconv.Atoi(f); err == nil {
			gap = n
			continue
		}
		e := element{gap: gap}
		for _, w := range strings.Split(f, "|") {
			c, known := g.names[w]
			if !known {
				if w[0] == '@' {
					return rule{}, fmt.Errorf("no concept %s", w)
				}
				c = g.named(w)
				if err := g.add(w, c); err != nil {
					return rule{}, err
				}
			}
			e.any = append(e.any, c)
		}
		r.elements = append(r.elements, e)
		span += gap + 1
		gap = 0
	}
	if len(r.elements) == 0 || span > maxSpan {
		return rule{}, fmt.Errorf("%s: %d elements over up to %d words", r.name, len(r.elements), span)
	}
	return r, nil
}

// lookup are the concepts of a plain word: those of itself and those of the stems that it begins with.
func lookup[S string | []byte](g *grammar, word S, into []concept) []concept {
	into = append(into, g.words[string(word)]...)
	if len(word) >= minStem {
		var key [minStem]byte
		copy(key[:], word)
		for _, s := range g.stems[key] {
			if len(word) >= len(s.text) && string(word[:len(s.text)]) == s.text {
				into = append(into, s.concepts...)
			}
		}
	}
	return into
}
