package mapper

import (
	"slices"
	"strings"
)

const (
	shortestMisspelt = 4  // letters of a word that is read as another
	longestMisspelt  = 32 // letters
	shortestNear     = 5  // letters from which one wrong letter is looked for: short words have too many neighbours
	mostMisspelt     = 12 // words of a finding
)

// speller reads words that nobody knows as the lexicon's word that was probably meant. A word is known if the
// lexicon has it or the model's vocabulary has it as one piece: such a word is never read as another. An
// unknown one of letters alone is read as, in this order: a word of which it has the consonants; one that begins
// with the same letter and is one missing, superfluous, wrong or swapped letter away; two words that stand
// beside each other in an entry; a word of which it is the beginning. Among several the one counts that stands
// beside the finding's neighbouring words in an entry, then the one in most entries, then the first by the
// alphabet. checkpoints/train/spelling.py does the same.
type speller struct {
	byWord    map[string]posting // the lexicon's
	known     func(word string) bool
	words     []string            // of letters alone, in order
	skeletons map[string][]string // words by their consonants
	pairs     map[string]struct{} // words beside each other in an entry, with a space between
}

func newSpeller(l *lexicon, known func(string) bool) *speller {
	s := &speller{byWord: l.byWord, known: known, skeletons: map[string][]string{}, pairs: map[string]struct{}{}}
	for w := range l.byWord {
		if lettersOnly(w) {
			s.words = append(s.words, w)
		}
	}
	slices.Sort(s.words)
	for _, w := range s.words {
		k := skeleton(w)
		s.skeletons[k] = append(s.skeletons[k], w)
	}
	for _, e := range l.entries {
		for from, middle := 0, strings.IndexByte(e.text, ' '); middle >= 0; {
			end := strings.IndexByte(e.text[middle+1:], ' ')
			if end < 0 {
				s.pairs[e.text[from:]] = struct{}{}
				break
			}
			end += middle + 1
			s.pairs[e.text[from:end]] = struct{}{}
			from, middle = middle+1, end
		}
	}
	return s
}

// correct returns the words of a normalised text as they are read, and those that were written otherwise.
func (s *speller) correct(text string) (words, read []string) {
	words = strings.Fields(text)
	tried := 0
	for i, w := range words {
		if !s.unknown(w) {
			continue
		}
		if tried++; tried > mostMisspelt {
			break
		}
		if own := s.candidates(w); len(own) > 0 {
			words[i] = s.best(own, words, i)
			read = append(read, strings.Fields(words[i])...)
		}
	}
	if len(read) == 0 {
		return words, nil
	}
	written := strings.Fields(text)
	read = slices.DeleteFunc(read, func(w string) bool { return slices.Contains(written, w) })
	return strings.Fields(strings.Join(words, " ")), read
}

func (s *speller) unknown(w string) bool {
	if len(w) < shortestMisspelt || len(w) > longestMisspelt || !lettersOnly(w) {
		return false
	}
	_, has := s.byWord[w]
	return !has && !s.known(w)
}

// candidates returns what may have been meant, found in the best way that finds anything.
func (s *speller) candidates(w string) []string {
	if out := s.skeletons[w]; len(out) > 0 {
		return out
	}
	if len(w) >= shortestNear {
		if out := s.near(w); len(out) > 0 {
			return out
		}
	}
	var joined []string
	for k := 2; k < len(w)-1; k++ {
		if pair := w[:k] + " " + w[k:]; s.beside(pair) {
			joined = append(joined, pair)
		}
	}
	if len(joined) > 0 {
		return joined
	}
	first, _ := slices.BinarySearch(s.words, w)
	last := first
	for last < len(s.words) && strings.HasPrefix(s.words[last], w) {
		last++
	}
	return s.words[first:last]
}

// near returns the lexicon's words that are one missing, superfluous, wrong or swapped letter away.
func (s *speller) near(w string) (out []string) {
	try := func(b []byte) {
		if _, has := s.byWord[string(b)]; has {
			out = append(out, string(b))
		}
	}
	b := make([]byte, 0, len(w)+1)
	for i := 1; i <= len(w); i++ {
		for c := byte('a'); c <= 'z'; c++ {
			try(append(append(append(b[:0], w[:i]...), c), w[i:]...))
			if i < len(w) {
				try(append(append(append(b[:0], w[:i]...), c), w[i+1:]...))
			}
		}
		if i < len(w) {
			try(append(append(b[:0], w[:i]...), w[i+1:]...))
		}
		if i+1 < len(w) {
			try(append(append(append(b[:0], w[:i]...), w[i+1], w[i]), w[i+2:]...))
		}
	}
	return distinct(out)
}

func (s *speller) beside(pair string) bool {
	_, has := s.pairs[pair]
	return has
}

// best chooses among candidates for word i.
func (s *speller) best(own, words []string, i int) string {
	var best string
	most, often := -1, 0
	for _, e := range own { // in the order of the alphabet, so that the first of equals stays
		first, last, _ := strings.Cut(e, " ")
		count := len(s.byWord[first].entries)
		if last == "" {
			last = first
		} else {
			count = min(count, len(s.byWord[last].entries))
		}
		n := 0
		if i > 0 {
			before := words[i-1]
			if s.beside(before[strings.LastIndexByte(before, ' ')+1:] + " " + first) {
				n++
			}
		}
		if i+1 < len(words) && s.beside(last+" "+words[i+1]) {
			n++
		}
		if n > most || n == most && count > often {
			best, most, often = e, n, count
		}
	}
	return best
}

// skeleton is a word without its vowels, but for the first letter.
func skeleton(w string) string {
	out := []byte{w[0]}
	for i := 1; i < len(w); i++ {
		if !strings.ContainsRune("aeiou", rune(w[i])) {
			out = append(out, w[i])
		}
	}
	return string(out)
}

func lettersOnly(w string) bool {
	for i := range len(w) {
		if !isLower(w[i]) {
			return false
		}
	}
	return w != ""
}
