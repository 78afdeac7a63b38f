// Package content is what is done to content around detectors: it is cut into chunks that they can take, what they say
// of each is put together, documents become text and places in that text places in the document, and what a policy
// wants out of it is replaced. All of it is pure and takes time linear in the content.
package content

import (
	"fmt"
	"unicode"
)

// MaxChunks bounds the chunks of a content.
const MaxChunks = 256

// Chunk is a part of a content.
type Chunk struct {
	Text string
	Byte [2]int // where it is in the content, in bytes
	Rune [2]int // and in code points
}

// Chunks cuts text into parts of at most window code points, each of which repeats at least the last overlap code points
// of the one before. It cuts after a sentence, or else a word, where one ends in the last quarter of a window, and not
// before a combining mark, unless there is nothing but marks. A window of 0 is all of the text.
func Chunks(text string, window, overlap int) ([]Chunk, error) {
	if window < 0 || overlap < 0 || overlap > window/2 {
		return nil, fmt.Errorf("a window of %d code points with an overlap of %d: the overlap may be half of the window", window, overlap)
	}
	c := cutter{text: text}
	for i, r := range text {
		c.at, c.runes = append(c.at, i), append(c.runes, r)
	}
	c.at = append(c.at, len(text))
	var all []Chunk
	for start, n := 0, len(c.runes); ; {
		if len(all) == MaxChunks {
			return nil, fmt.Errorf("the content has more than %d chunks of %d code points; send it in parts", MaxChunks, window)
		}
		end := n
		if window > 0 && n-start > window {
			end = c.end(start+window-window/4, start+window)
		}
		all = append(all, Chunk{text[c.at[start]:c.at[end]], [2]int{c.at[start], c.at[end]}, [2]int{start, end}})
		if end == n {
			return all, nil
		}
		start = c.start(end-overlap, window/8)
	}
}

type cutter struct {
	text  string
	at    []int // the byte at which each code point starts
	runes []rune
}

// end finds the best place for a cut from low to high, the last of its kind.
func (c cutter) end(low, high int) int {
	best, rank := high, 0
	for i := high; i >= low && i > 0; i-- {
		if r := c.rank(i); r > rank {
			best, rank = i, r
		}
	}
	return best
}

// start finds where a chunk starts: at i, or where a word does up to back before it.
func (c cutter) start(i, back int) int {
	best, rank := i, 0
	for j := i; j >= i-back; j-- {
		if r := min(c.rank(j), 2); r > rank {
			best, rank = j, r
		}
	}
	return best
}

// rank says how good a cut before code point i is, where there is one on each side: 0 parts what is written as one
// character, 1 a word, 2 a sentence.
func (c cutter) rank(i int) int {
	before, after := c.runes[i-1], c.runes[i]
	switch {
	case joined(before, after):
		return 0
	case before == '\n' || before == '。' || before == '！' || before == '？':
		return 3
	case !unicode.IsSpace(before):
		return 1
	case i > 1 && (c.runes[i-2] == '.' || c.runes[i-2] == '!' || c.runes[i-2] == '?'):
		return 3
	}
	return 2
}

// joined says whether two code points are written as one character.
func joined(before, after rune) bool {
	const joiner = '\u200d'
	return unicode.In(after, unicode.M) || after == joiner || before == joiner || '\U0001f3fb' <= after && after <= '\U0001f3ff' || before == '\r' && after == '\n'
}
