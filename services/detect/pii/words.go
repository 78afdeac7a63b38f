package pii

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// word is a run of letters and digits.
type word struct {
	start, end int
	digits     int    // ASCII digits in it
	topics     topics // that it speaks of
}

// rooms are slices of words to be used again. They have nothing of a content's text.
var rooms = sync.Pool{New: func() any { return new([]word) }}

// topics is a set of what a word can speak of.
type topics uint64

// split finds the words of content, appended to words.
func split(content string, words []word, vocabulary map[string]topics) []word {
	var lower [longest]byte
	for i := 0; i < len(content); {
		if content[i] < '0' { // a blank, as most of what is between words
			i++
			continue
		}
		w, n := word{start: i}, 0
		for i < len(content) {
			c := content[i]
			if c < utf8.RuneSelf {
				switch {
				case c >= '0' && c <= '9':
					w.digits++
				case c >= 'a' && c <= 'z':
				case c >= 'A' && c <= 'Z':
					c |= 0x20
				default:
					goto done
				}
				if n < longest {
					lower[n] = c
				}
				n, i = n+1, i+1
				continue
			}
			r, size := utf8.DecodeRuneInString(content[i:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
				break
			}
			if n+size+1 < longest {
				utf8.EncodeRune(lower[n:], unicode.ToLower(r))
			}
			n, i = n+size, i+size
		}
	done:
		if w.end = i; w.end == w.start {
			_, size := utf8.DecodeRuneInString(content[i:])
			i += size
			continue
		}
		if n <= longest {
			w.topics = vocabulary[string(lower[:n])]
		}
		words = append(words, w)
	}
	return words
}

// longest is the length of a word that can have a topic, in bytes, with room for a letter that grows in lower case.
const longest = 40

// Words before a number speak of it more often than words behind it.
const (
	before, after = 7, 4
	maxGap        = 100 // bytes from a word to the number
)

// near says how many words away one is that speaks of what is wanted, or 0. first and last are the words of a number.
func near(words []word, first, last int, want topics) int {
	for k := 1; k <= before && first-k >= 0 && words[first].start-words[first-k].end <= maxGap; k++ {
		if words[first-k].topics&want != 0 {
			return k
		}
		if k <= after && last+k < len(words) && words[last+k].start-words[last].end <= maxGap && words[last+k].topics&want != 0 {
			return k + 2
		}
	}
	for k := 1; k <= after && last+k < len(words) && words[last+k].start-words[last].end <= maxGap; k++ {
		if words[last+k].topics&want != 0 {
			return k + 2
		}
	}
	return 0
}

// letter says whether a word could go on at i: a letter, a digit, or part of one.
func letter(content string, i int) bool {
	if i < 0 || i >= len(content) {
		return false
	}
	c := content[i]
	if c < utf8.RuneSelf {
		return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	r, _ := utf8.DecodeRuneInString(content[i:])
	return unicode.IsLetter(r)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func digitAt(content string, i int) bool { return i >= 0 && i < len(content) && digit(content[i]) }

// within says whether a number goes on before start or behind end: 3.14159 is not one number and a fraction.
func within(content string, start, end int) bool {
	return goesOn(content, start) || end < len(content) && (content[end] == '@' || strings.IndexByte("-.,/_+", content[end]) >= 0 && digitAt(content, end+1))
}

// goesOn says whether a number at start is the rest of one.
func goesOn(content string, start int) bool {
	return start > 0 && content[start-1] == '@' || start > 1 && strings.IndexByte("-.,/:_+", content[start-1]) >= 0 && digit(content[start-2])
}
