package injection

import (
	"math/bits"
	"sync"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

// token is a word, or a part of one where several are written together, at its place in the plain text.
type token struct {
	start, end int
	odd        bool // disguised: homoglyphs, spaced out, digits for letters
}

// sentence is a text as the rules see it: for each concept the set of tokens that are of it.
type sentence struct {
	tokens []token
	sets   [][]uint64 // by concept; empty where no token is of it
}

// Bounds of taking words apart: what is longer than minGlued and known as nothing may be words written together.
const (
	minGlued = 12
	maxPart  = 18
	minShare = 0.6
	minKnown = 2
)

// small are words too short to be known by length alone.
var small = map[string]bool{
	"a": true, "an": true, "all": true, "any": true, "and": true, "the": true, "to": true, "of": true, "in": true, "is": true, "it": true,
	"my": true, "me": true, "no": true, "on": true, "or": true, "as": true, "be": true, "by": true, "do": true, "your": true, "you": true,
	"are": true, "now": true, "for": true, "with": true, "from": true, "that": true, "this": true,
}

// sentences are used again: their memory is most of what a content takes. They have nothing of its text.
var sentences = sync.Pool{New: func() any { return new(sentence) }}

// read makes s a plain text's.
func (s *sentence) read(g *grammar, text *fold.Text) {
	s.tokens = s.tokens[:0]
	if len(s.sets) < g.concepts {
		s.sets = make([][]uint64, g.concepts)
	}
	for c := range s.sets {
		s.sets[c] = s.sets[c][:0]
	}
	text.Words(func(words []fold.Word) {
		var found []concept
		for i := range words {
			found = s.word(g, text, words, i, found[:0])
		}
	})
}

// word adds the word i, or what it is made of. found is room for its concepts.
func (s *sentence) word(g *grammar, text *fold.Text, words []fold.Word, i int, found []concept) []concept {
	w, size := words[i], len(words)
	found = lookup(g, w.S, found)
	odd := w.Spaced || len(found) > 0 && text.Odd(w.Start, w.End)
	if len(found) == 0 {
		fold.Readings(w.S, func(b []byte) { found = lookup(g, b, found) })
		odd = odd || len(found) > 0
	}
	if len(found) == 0 || len(w.S) < minStem { // "on" may be the end of instructi-on
		before := len(found)
		found = g.joined(text.S, words, i, found)
		odd = odd || len(found) > before
	}
	if (len(found) == 0 && len(w.S) >= minGlued || w.Spaced) && s.glued(g, w, size) {
		return found
	}
	s.add(token{w.Start, w.End, odd}, found, size)
	return found
}

// joins says whether the mark between two parts may be there to break a word.
func joins(b byte) bool { return b == '-' || b == '.' || b == '_' || b == '*' || b == '/' || b == '|' }

// maxPieces is into how many pieces a word may be broken: dis-re-gard.
const maxPieces = 4

// joined are the concepts of the word that ends with the word i and began with those before it.
func (g *grammar) joined(s string, words []fold.Word, i int, into []concept) []concept {
	var buf [maxPart]byte
	before := len(into)
	at := len(buf) // the pieces are written from the end
	for k := i; k >= 0 && k > i-maxPieces && len(words[k].S) <= at; k-- {
		at -= copy(buf[at-len(words[k].S):], words[k].S)
		if k < i {
			if into = lookup(g, buf[at:], into); len(into) > before {
				return into
			}
		}
		if k == 0 || words[k].Start != words[k-1].End+1 || !joins(s[words[k].Start-1]) {
			break
		}
	}
	return into
}

func (s *sentence) add(t token, concepts []concept, size int) {
	i := len(s.tokens)
	s.tokens = append(s.tokens, t)
	for _, c := range concepts {
		set := s.sets[c]
		if i/64 >= len(set) {
			set = append(set, make([]uint64, max(size/64, i/64)+1-len(set))...)
		}
		set[i/64] |= 1 << (i % 64)
		s.sets[c] = set
	}
}

// glued adds the words that are written together in w, and says whether there are any. It is greedy: the longest known
// part first, so each letter is looked at maxPart times at most.
func (s *sentence) glued(g *grammar, w fold.Word, size int) bool {
	type part struct {
		from, to int
		concepts []concept
	}
	var parts []part
	known, letters := 0, 0
	for i := 0; i < len(w.S); {
		n, concepts := g.longest(w.S[i:])
		if n == 0 {
			i++
			continue
		}
		parts = append(parts, part{i, i + n, concepts})
		if len(concepts) > 0 && n > 3 {
			known++
		}
		letters += n
		i += n
	}
	if known == 0 || known < minKnown && !w.Spaced || float64(letters) < minShare*float64(len(w.S)) {
		return false
	}
	for _, p := range parts {
		t := token{w.Start, w.End, true}
		if !w.Spaced && w.End-w.Start == len(w.S) {
			t.start, t.end = w.Start+p.from, w.Start+p.to
		}
		s.add(t, p.concepts, size)
	}
	return true
}

// longest is the longest known word that s begins with.
func (g *grammar) longest(s string) (int, []concept) {
	for n := min(len(s), maxPart); n > 0; n-- {
		if n > 2 {
			if c := g.words[s[:n]]; len(c) > 0 {
				return n, c
			}
		}
		if n <= 4 && small[s[:n]] {
			return n, g.words[s[:n]]
		}
	}
	if len(s) >= minStem {
		for _, st := range g.stems[[minStem]byte([]byte(s[:minStem]))] {
			if len(s) >= len(st.text) && s[:len(st.text)] == st.text {
				return len(st.text), st.concepts
			}
		}
	}
	return 0, nil
}

// window is the set of the 64 tokens from i on that are of the concept.
func (s *sentence) window(c concept, i int) uint64 {
	set := s.sets[c]
	word, shift := i/64, i%64
	if word >= len(set) {
		return 0
	}
	w := set[word] >> shift
	if shift > 0 && word+1 < len(set) {
		w |= set[word+1] << (64 - shift)
	}
	return w
}

// match is a rule that holds from one token to another.
type match struct {
	rule     int
	from, to int // tokens, to included
}

// matches calls f with every place at which a rule holds, each with its shortest reach. The work at a place is bounded
// by the rules, whatever the text.
func (s *sentence) matches(g *grammar, f func(match)) {
	for c, rules := range g.first {
		if len(rules) == 0 {
			continue
		}
		for w, set := range s.sets[c] {
			for ; set != 0; set &= set - 1 {
				from := w*64 + bits.TrailingZeros64(set)
				for _, r := range rules {
					if reach := s.reach(g.rules[r].elements, from); reach != 0 {
						f(match{r, from, from + bits.TrailingZeros64(reach)})
					}
				}
			}
		}
	}
}

// reach is the set of the tokens, from the given one on, at which the last element may be.
func (s *sentence) reach(elements []element, from int) uint64 {
	at := uint64(1)
	for _, e := range elements[1:] {
		var next, here uint64
		for k := 0; k <= e.gap; k++ {
			next |= at << (k + 1)
		}
		if next == 0 {
			return 0
		}
		for _, c := range e.any {
			here |= s.window(c, from)
		}
		if at = next & here; at == 0 {
			return 0
		}
	}
	return at
}

// count is how many of the tokens from a to b, both included, are of the concept.
func (s *sentence) count(c concept, a, b int) int {
	n := 0
	for a = max(a, 0); a <= b; a += 64 {
		w := s.window(c, a)
		if left := b - a + 1; left < 64 {
			w &= 1<<left - 1
		}
		n += bits.OnesCount64(w)
	}
	return n
}
