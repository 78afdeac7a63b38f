package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

//go:embed templates.txt
var templates string

// line is one line of a corpus.
type line struct {
	template, head, labels, text string
}

// How often a template with slots is filled.
const (
	perTrain = 40
	perTest  = 6
	seed     = 2026
)

// corpora reads the templates and fills their slots.
func corpora(text string) (train, test []line, err error) {
	slots := map[string][]string{}
	r := rand.New(rand.NewPCG(seed, 1))
	for n, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(l, "@"); ok {
			name, words, _ := strings.Cut(rest, ": ")
			slots[name] = strings.Split(words, ", ")
			continue
		}
		head, template, ok := strings.Cut(l, " | ")
		split, labels, ok2 := strings.Cut(head, " ")
		if !ok || !ok2 {
			return nil, nil, fmt.Errorf("templates.txt: line %d: want split labels | text", n+1)
		}
		times := map[string]int{"train": perTrain, "test": perTest}[split]
		made := map[string]bool{}
		for range times {
			filled, heads := fill(template, split, slots, r)
			if made[filled] {
				continue
			}
			made[filled] = true
			x := line{fmt.Sprintf("%s-%d", split, n+1), heads, labels, filled}
			if split == "train" {
				train = append(train, x)
			} else {
				test = append(test, x)
			}
		}
	}
	return train, test, nil
}

// fill puts words into the slots of a template.
func fill(template, split string, slots map[string][]string, r *rand.Rand) (text, heads string) {
	var used []string
	for {
		a := strings.IndexByte(template, '{')
		if a < 0 {
			break
		}
		b := a + strings.IndexByte(template[a:], '}')
		words := slots[template[a+1:b]+" "+split]
		w := words[r.IntN(len(words))]
		used = append(used, w)
		template = template[:a] + w + template[b+1:]
	}
	if len(used) == 0 {
		return template, "-"
	}
	return template, strings.Join(used, "+")
}

// write is a corpus in the form that detecttest.Corpus reads.
func write(lines []line) []byte {
	var b bytes.Buffer
	b.WriteString("# Made by the command train. Columns: template, head words, labels (- is none), text as a JSON string.\n")
	for _, l := range lines {
		text, _ := json.Marshal(l.text) // a string always can be
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", l.template, l.head, l.labels, text)
	}
	return b.Bytes()
}
