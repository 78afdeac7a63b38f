package mapper

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
)

const (
	leastScore     = 80      // in thousandths; what is less near is no evidence
	voters         = 12      // nearest entries that vote for their labels
	bestEntries    = 200     // nearest entries that are searched for labels
	maxLexicon     = 200_000 // entries
	maxLexiconLine = 1 << 12 // bytes
)

// lexicon finds the known phrases that are nearest to a finding, by shared words and by shared trigrams of
// letters. Words weigh by their rarity (1000 ln(entries / entries with the word)); nearness is the weight in
// common over the weight of both (Jaccard), in thousandths; so is that of the trigrams, which weigh one each.
// An entry's score is a third of the first and two thirds of the second. All scores are whole numbers:
// checkpoints/train/lookup.py computes the same ones. With a speller the finding is searched as that reads it;
// what was read as another word weighs nine tenths of it, so that no entry counts as the finding's very words
// unless it was written like that.
type lexicon struct {
	entries   []entry // by their words
	totals    []total // of each entry; apart from it because every search reads them all
	byWord    map[string]posting
	byTrigram map[string][]int32
	most      int32 // weight of a word that no entry has
	scratch   sync.Pool
	speller   *speller // nil: words are taken as they are written
}

type entry struct {
	text  string
	label int
}

// total is the weight of all words of an entry, and the number of its trigrams.
type total struct {
	words, trigrams int32
}

type posting struct {
	weight  int32
	entries []int32
}

// near is an entry that is evidence for its label; nearness is in thousandths, up to 1000.
type near struct {
	entry                  *entry
	words, trigrams, score int
	votes                  int // of the nearest entries for its label
}

// Where the next digit of a grade begins: of the nearness by words, by trigrams, and of the votes.
var (
	wordLevels    = []int{1, 250, 500, 1000}
	trigramLevels = []int{100, 200, 300, 400, 550, 750}
	voteLevels    = []int{2, 3}
)

// grade is what the model is told of an entry: a digit each for its words, its trigrams, and its label's votes.
func (n near) grade() string {
	return gradeOf(level(n.words, wordLevels), level(n.trigrams, trigramLevels), level(n.votes, voteLevels))
}

func gradeOf(words, trigrams, votes int) string {
	return string([]byte{'0' + byte(words), '0' + byte(trigrams), '0' + byte(votes)})
}

// grades returns all there are.
func grades() (out []string) {
	for w := range len(wordLevels) + 1 {
		for t := range len(trigramLevels) + 1 {
			for v := range len(voteLevels) + 1 {
				out = append(out, gradeOf(w, t, v))
			}
		}
	}
	return out
}

func level(value int, steps []int) (n int) {
	for n < len(steps) && value >= steps[n] {
		n++
	}
	return n
}

// readLexicon reads lines of normalised words, a tab and a label; number has the labels' numbers.
func readLexicon(r io.Reader, number map[string]int) (*lexicon, error) {
	l := &lexicon{byWord: map[string]posting{}, byTrigram: map[string][]int32{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLexiconLine)
	for lines.Scan() {
		text, label, _ := strings.Cut(lines.Text(), "\t")
		n, known := number[label]
		switch {
		case !known:
			return nil, fmt.Errorf("lexicon line %d: %q is not a label of the taxonomy", len(l.entries)+1, label)
		case text == "" || normalizeWords(text) != text:
			return nil, fmt.Errorf("lexicon line %d: %q is not in the form of normalised words", len(l.entries)+1, text)
		case len(l.entries) == maxLexicon:
			return nil, fmt.Errorf("lexicon: more than %d lines", maxLexicon)
		case len(l.entries) > 0 && l.entries[len(l.entries)-1].text >= text:
			return nil, fmt.Errorf("lexicon line %d: %q is not in order, or there twice", len(l.entries)+1, text)
		}
		l.entries = append(l.entries, entry{text: text, label: n})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("lexicon line %d: %w", len(l.entries)+1, err)
	}
	l.index()
	l.scratch.New = func() any {
		return &shared{words: make([]int32, len(l.entries)), trigrams: make([]uint16, len(l.entries))}
	}
	return l, nil
}

func (l *lexicon) index() {
	l.totals = make([]total, len(l.entries))
	for i, e := range l.entries {
		for _, w := range distinct(strings.Fields(e.text)) {
			p := l.byWord[w]
			p.entries = append(p.entries, int32(i))
			l.byWord[w] = p
		}
		own := trigrams(e.text)
		l.totals[i].trigrams = int32(len(own))
		for _, t := range own {
			l.byTrigram[t] = append(l.byTrigram[t], int32(i))
		}
	}
	n := float64(len(l.entries))
	l.most = 1 + int32(1000*math.Log(n))
	for w, p := range l.byWord {
		p.weight = 1 + int32(1000*math.Log(n/float64(len(p.entries))))
		l.byWord[w] = p
		for _, i := range p.entries {
			l.totals[i].words += p.weight
		}
	}
}

// shared is what a text has in common with each entry; all zero between searches.
type shared struct {
	words    []int32
	some     []int32  // the entries that share a word
	trigrams []uint16 // a text has fewer than 65,536; see prompt.read
	total    total    // of the text
	best     []uint64
}

// share counts what words have in common with the entries; read are those of them that were written otherwise.
// The result goes back with release.
func (l *lexicon) share(words, read []string) *shared {
	s := l.scratch.Get().(*shared)
	s.total = total{}
	text := strings.Join(words, " ")
	for _, w := range distinct(slices.Clone(words)) {
		p, known := l.byWord[w]
		if !known {
			p.weight = l.most
		}
		s.total.words += p.weight
		if slices.Contains(read, w) {
			p.weight = 9 * p.weight / 10
		}
		if p.weight == 0 {
			continue // a word of every entry, written otherwise, says nothing
		}
		for _, i := range p.entries {
			if s.words[i] == 0 {
				s.some = append(s.some, i)
			}
			s.words[i] += p.weight
		}
	}
	own := trigrams(text)
	s.total.trigrams = int32(len(own))
	for _, t := range own {
		for _, i := range l.byTrigram[t] {
			s.trigrams[i]++
		}
	}
	return s
}

func (l *lexicon) release(s *shared) {
	for _, i := range s.some {
		s.words[i] = 0
	}
	s.some = s.some[:0]
	clear(s.trigrams)
	l.scratch.Put(s)
}

// nearness is that of an entry by words and by trigrams, in thousandths.
func (l *lexicon) nearness(s *shared, i int) (words, trigrams int) {
	w, t := int64(s.words[i]), int64(s.trigrams[i])
	of := l.totals[i]
	return int(1000 * w / max(1, int64(of.words+s.total.words)-w)), int(1000 * t / max(1, int64(of.trigrams+s.total.trigrams)-t))
}

// search returns the nearest entry of each of the nearest labels, nearest first, at most most.
func (l *lexicon) search(text string, most int) []near {
	words, read := strings.Fields(text), []string(nil)
	if l.speller != nil {
		words, read = l.speller.correct(text)
	}
	s := l.share(words, read)
	defer l.release(s)
	s.best = s.best[:0]
	for _, i := range s.some {
		l.consider(s, int(i))
	}
	// Without a shared word the score is two thirds of the trigrams' nearness: most entries have fewer than least, and of the
	// rest most are too long.
	least := uint16((3*leastScore*s.total.trigrams + 1999) / 2000)
	for i, t := range s.trigrams {
		if t >= least && s.words[i] == 0 && 2000*int32(t) >= 3*leastScore*(l.totals[i].trigrams+s.total.trigrams-int32(t)) {
			l.consider(s, i)
		}
	}
	s.best = smallest(s.best, bestEntries)
	votes := map[int]int{}
	for _, b := range s.best[:min(len(s.best), voters)] {
		votes[l.entries[uint32(b)].label]++
	}
	var out []near
	for _, b := range s.best {
		e := &l.entries[uint32(b)]
		if len(out) == most {
			break
		}
		if !slices.ContainsFunc(out, func(o near) bool { return o.entry.label == e.label }) {
			words, trigrams := l.nearness(s, int(uint32(b)))
			out = append(out, near{entry: e, words: words, trigrams: trigrams, score: 1000 - int(b>>32), votes: votes[e.label]})
		}
	}
	return out
}

// consider adds an entry to what may be the best, if it is near enough.
func (l *lexicon) consider(s *shared, i int) {
	words, trigrams := l.nearness(s, i)
	if score := (words + 2*trigrams) / 3; score >= leastScore {
		s.best = append(s.best, uint64(1000-score)<<32|uint64(i)) // in the order of score, then of the words
	}
}

// smallest returns the most smallest of a list, in order. Their upper halves are up to 1000; thousands are not sorted
// for two hundred.
func smallest(list []uint64, most int) []uint64 {
	if len(list) > most {
		var with [1001]int
		for _, b := range list {
			with[b>>32]++
		}
		last, n := uint64(0), with[0]
		for n < most {
			last++
			n += with[last]
		}
		list = slices.DeleteFunc(list, func(b uint64) bool { return b>>32 > last })
	}
	slices.Sort(list)
	return list[:min(len(list), most)]
}

// lookups returns the labels that three plain lookups would give, -1 where nothing is shared: of the equal
// entry, of the one with the nearest words, and of the one with the nearest trigrams.
func (l *lexicon) lookups(text string) (exact, words, trigrams int) {
	s := l.share(strings.Fields(text), nil)
	defer l.release(s)
	labels := [3]int{-1, -1, -1}
	best := [3]int{}
	for i, e := range l.entries {
		equal := 0
		if e.text == text {
			equal = 1
		}
		w, t := l.nearness(s, i)
		for k, n := range []int{equal, w, t} {
			if n > best[k] {
				best[k], labels[k] = n, e.label
			}
		}
	}
	return labels[0], labels[1], labels[2]
}

// trigrams returns the distinct runs of three bytes of the text with a space on either side.
func trigrams(text string) []string {
	padded := " " + text + " "
	out := make([]string, 0, len(padded))
	for i := 0; i+3 <= len(padded); i++ {
		out = append(out, padded[i:i+3])
	}
	return distinct(out)
}

// distinct sorts a list and drops what is in it twice.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
