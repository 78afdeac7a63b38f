// Package gitleaks finds credentials by the rules that the gitleaks project maintains. They are in rules.json, as its
// module has them; go generate writes them again. The engine is ours: one pass for the keywords of all rules, and an
// expression only where a keyword of its rule is, over a bounded piece of the content. gitleaks' own engine runs each
// expression over all of the content.
package gitleaks

import (
	"context"
	_ "embed"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"sync"
)

//go:generate go run -C generate . ../rules.json

//go:embed rules.json
var file string

// rule is a line of the file. The fields are those of gitleaks' documentation.
type rule struct {
	ID       string
	Regex    string
	Group    int
	Entropy  float64
	Keywords []string
	Allow    []*allow

	form func() *form // made when a keyword is seen for the first time
}

// allow is what is no secret: by a pattern in the target, or by a word in the secret.
type allow struct {
	Target    string // match, line or, by default, the secret
	Regexes   []string
	Stopwords []string

	re    func() *regexp.Regexp
	words func() *automaton
}

// Rules are all of them. They are safe for concurrent use.
type Rules struct {
	version  string
	rules    []rule
	allow    *allow // for all rules
	keywords []string
	users    [][]int // of each keyword: the rules
	words    *automaton
}

// Load reads the rules that are compiled in, but for those that are left out by their names.
func Load(without ...string) *Rules {
	r := &Rules{}
	lines := json.NewDecoder(strings.NewReader(file))
	var head struct {
		Version string
		Allow   allow
	}
	must(lines.Decode(&head))
	r.version, r.allow = head.Version, head.Allow.lazy()
	known := map[string]int{}
	out := map[string]bool{}
	for _, id := range without {
		out[id] = true
	}
	for lines.More() {
		var one rule
		must(lines.Decode(&one))
		if out[one.ID] {
			continue
		}
		one.Keywords = lower(one.Keywords)
		for _, k := range one.Keywords {
			n, ok := known[k]
			if !ok {
				n = len(r.keywords)
				known[k], r.keywords, r.users = n, append(r.keywords, k), append(r.users, nil)
			}
			r.users[n] = append(r.users[n], len(r.rules))
		}
		for _, a := range one.Allow {
			a.lazy()
		}
		one.form = sync.OnceValue(func() *form {
			f, err := shape(one.Regex, one.Keywords)
			must(err)
			return f
		})
		r.rules = append(r.rules, one)
	}
	r.words = newAutomaton(r.keywords)
	return r
}

// must is for what is compiled in, and what a test has seen.
func must(err error) {
	if err != nil {
		panic("gitleaks: rules.json: " + err.Error())
	}
}

func (a *allow) lazy() *allow {
	a.re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?:" + strings.Join(a.Regexes, ")|(?:") + ")") })
	a.words = sync.OnceValue(func() *automaton { return newAutomaton(lower(a.Stopwords)) })
	return a
}

// Version is that of the gitleaks module.
func (r *Rules) Version() string { return r.version }

// IDs are the names of the rules, in the order of the file.
func (r *Rules) IDs() []string {
	ids := make([]string, len(r.rules))
	for i := range r.rules {
		ids[i] = r.rules[i].ID
	}
	return ids
}

// Hit is a secret in a content, in bytes, and the rule that found it.
type Hit struct {
	Rule       string
	Start, End int
	Named      bool // by what it is assigned to; else by its own form
}

// Find calls found for each secret, in no order, but always the same. Its error is ctx's.
func (r *Rules) Find(ctx context.Context, content string, found func(Hit)) error {
	s := scan{Rules: r, content: content, found: found, past: make([]int, len(r.rules)), windows: make([]window, len(r.rules))}
	state := uint16(0)
	for i := range len(content) {
		if i%65536 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		state = r.words.step(state, content[i])
		for _, k := range r.words.ends[state] {
			for _, n := range r.users[k] {
				s.try(n, i+1-len(r.keywords[k]), i+1)
			}
		}
	}
	for n := range s.windows {
		s.search(n)
	}
	return ctx.Err()
}

// Entropy is Shannon's, in bits a byte.
func Entropy(s string) float64 {
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	sum := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
