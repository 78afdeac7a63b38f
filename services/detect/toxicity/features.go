package toxicity

import "github.com/llama-mapper/llama-mapper/services/detect/fold"

// Buckets is how many weights each label has.
const Buckets = 1 << 15

// Labels are what the detector can say, in the order of the model's weights.
var Labels = []string{"TOXICITY", "SEVERE_TOXICITY", "OBSCENE", "INSULT", "THREAT", "IDENTITY_ATTACK"}

// Bounds of a segment: what is scored at once.
const (
	maxSegment = 40 // words
	maxLetters = 24 // of a word that are looked at
)

// segment is a sentence, or a part of a long one.
type segment struct {
	words   []fold.Word
	classes []int
	odd     []bool // disguised
}

// segments cuts the words of a plain text at the ends of sentences. A segment is f's only until it returns.
func (x *lexicon) segments(text *fold.Text, f func(segment)) {
	text.Words(func(words []fold.Word) {
		classes, odd := make([]int, len(words)), make([]bool, len(words))
		for i, w := range words {
			classes[i], odd[i] = x.class(w.S)
		}
		for from := 0; from < len(words); {
			to := from + 1
			for to < len(words) && to-from < maxSegment && !ends(between(text.S, words, to)) {
				to++
			}
			f(segment{words[from:to], classes[from:to], odd[from:to]})
			from = to
		}
	})
}

// between is what stands before the word i, a few bytes of it.
func between(s string, words []fold.Word, i int) string {
	a := words[i-1].End
	return s[a:min(words[i].Start, a+4)]
}

// ends says whether a sentence ends in what is between two words.
func ends(between string) bool {
	for i := range len(between) {
		switch between[i] {
		case '.', '!', '?', '\n', ';':
			return true
		}
	}
	return false
}

const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

func mix(h uint32, b byte) uint32 { return (h ^ uint32(b)) * fnvPrime }

func bucket(h uint32) uint32 { return (h ^ h>>15) % Buckets }

// aGroup stands for the words for groups of people in the model's eyes: it must not learn which one is spoken about.
const aGroup = "<group>"

// features appends the bucket of each feature of the segment: character n-grams of 3 to 5 within a word and its borders,
// rows of two words, and rows of two and three classes of the lexicon, with and without a word between.
func (s segment) features(group int, into []uint32) []uint32 {
	var before uint32
	for i, w := range s.words {
		text := w.S[:min(len(w.S), maxLetters)]
		if s.classes[i] == group {
			text = aGroup
		}
		into = grams(text, into)
		h := uint32(fnvOffset)
		for i := range len(text) {
			h = mix(h, text[i])
		}
		into = append(into, bucket(mix(mix(h, 'w'), 1)), bucket((before*31^h)*fnvPrime))
		before = h
	}
	a, b := 0, 0 // the two classes before
	for _, c := range s.classes {
		if c > 0 {
			into = append(into, classFeature(1, c, 0, 0), classFeature(2, b, c, 0), classFeature(3, a, b, c))
			a, b = b, c
		}
	}
	for i, c := range s.classes { // next to each other
		if i > 0 && c > 0 && s.classes[i-1] > 0 {
			into = append(into, classFeature(4, s.classes[i-1], c, 0))
		}
	}
	return into
}

func classFeature(kind, a, b, c int) uint32 {
	h := uint32(fnvOffset)
	for _, v := range [...]int{kind, a, b, c} {
		h = mix(h, byte(v))
	}
	return bucket(mix(h, 0xff))
}

// grams appends the buckets of the n-grams of a word of maxLetters at most.
func grams(word string, into []uint32) []uint32 {
	var room [maxLetters + 2]byte
	w := room[:len(word)+2]
	w[0], w[len(word)+1] = '_', '_'
	copy(w[1:], word)
	for i := range w {
		h := uint32(fnvOffset)
		for n, b := range w[i:min(i+5, len(w))] {
			if h = mix(h, b); n >= 2 {
				into = append(into, bucket(mix(h, byte(n+1))))
			}
		}
	}
	return into
}

// Features are the buckets of all of a text, segment by segment: what the trainer learns from.
func Features(text string) (all []uint32) {
	plain := fold.New(text)
	builtin.lex.segments(&plain, func(s segment) { all = s.features(builtin.kinds.group, all) })
	return all
}
