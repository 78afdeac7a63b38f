package toxicity

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

//go:embed lexicon.txt
var lexiconText string

// class is a kind of words.
type class struct {
	name   string
	grade  float64
	labels []string
}

const minStem = 4

type stem struct {
	text  string
	class int
}

// lexicon is lexicon.txt, ready to use. Nothing changes it after parse. Classes count from 1; 0 is a word of none.
type lexicon struct {
	classes []class
	index   map[string]int
	words   map[string]int // the first class that has the word
	stems   map[[minStem]byte][]stem
	starred map[[2]byte][]string // words that are written with stars, by first and last letter
}

func parse(text string) (*lexicon, error) {
	x := &lexicon{classes: make([]class, 1), index: map[string]int{}, words: map[string]int{}, stems: map[[minStem]byte][]stem{}, starred: map[[2]byte][]string{}}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if fields[0] == "=" {
			if len(fields) != 4 {
				return nil, fmt.Errorf("line %d: want = class grade LABELS", n+1)
			}
			grade, err := strconv.ParseFloat(fields[2], 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			c := class{name: fields[1], grade: grade}
			if fields[3] != "-" {
				c.labels = strings.Split(fields[3], ",")
			}
			x.index[c.name] = len(x.classes)
			x.classes = append(x.classes, c)
			continue
		}
		if len(x.classes) == 1 {
			return nil, fmt.Errorf("line %d: words before a class", n+1)
		}
		for _, w := range fields {
			if err := x.add(w, len(x.classes)-1); err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
		}
	}
	return x, nil
}

func (x *lexicon) add(w string, c int) error {
	if fold.New(w).S != w {
		return fmt.Errorf("%q is not plain", w)
	}
	if text, ok := strings.CutSuffix(w, "*"); ok {
		if len(text) < minStem {
			return fmt.Errorf("%q is shorter than %d", w, minStem)
		}
		key := [minStem]byte([]byte(text))
		x.stems[key] = append(x.stems[key], stem{text, c})
		return nil
	}
	if _, known := x.words[w]; known {
		return nil
	}
	x.words[w] = c
	if x.classes[c].grade >= 0.8 && len(w) > 3 {
		key := [2]byte{w[0], w[len(w)-1]}
		x.starred[key] = append(x.starred[key], w)
	}
	return nil
}

func exact[S string | []byte](x *lexicon, w S) int {
	if c := x.words[string(w)]; c > 0 {
		return c
	}
	if len(w) >= minStem {
		var key [minStem]byte
		copy(key[:], w)
		for _, s := range x.stems[key] {
			if len(w) >= len(s.text) && string(w[:len(s.text)]) == s.text {
				return s.class
			}
		}
	}
	return 0
}

// class is the class of a plain word, and whether it was disguised.
func (x *lexicon) class(w string) (c int, disguised bool) {
	if c = exact(x, w); c > 0 {
		return c, false
	}
	fold.Readings(w, func(b []byte) {
		if c == 0 {
			c = exact(x, b)
		}
	})
	if c == 0 && len(w) > 3 && strings.IndexByte(w, '*') > 0 {
		c = x.star(w)
	}
	return c, c > 0
}

// star is the class of a word some letters of which are stars.
func (x *lexicon) star(w string) int {
	for _, known := range x.starred[[2]byte{w[0], w[len(w)-1]}] {
		if len(known) != len(w) {
			continue
		}
		i := 0
		for i < len(w) && (w[i] == '*' || w[i] == known[i]) {
			i++
		}
		if i == len(w) {
			return x.words[known]
		}
	}
	return 0
}
