package fold

import (
	"strings"
	"sync"
)

// Word is a word of a Text: letters and digits, and signs among them that stand for letters.
type Word struct {
	Start, End int    // in Text.S
	S          string // what is there; the letters alone if they were spaced out
	Spaced     bool   // as in "i g n o r e"
}

// minSpaced is from how many single letters in a row on they are one word.
const minSpaced = 4

// rooms are slices of words for Words to use again, empty of any text.
var rooms = sync.Pool{New: func() any { return new([]Word) }}

// Words calls f with the words of the text in order. The slice is f's only until it returns.
func (t *Text) Words(f func([]Word)) {
	room := rooms.Get().(*[]Word)
	words := (*room)[:0]
	for i := 0; i < len(t.S); {
		if !isWord(t.S, i) {
			i++
			continue
		}
		j := i + 1
		for j < len(t.S) && (isLetter(t.S[j]) || isWord(t.S, j)) {
			j++
		}
		words = append(words, Word{Start: i, End: j, S: contracted(t.S[i:j])})
		i = j
	}
	f(joinSpaced(t.S, words))
	clear(words)
	*room = words
	rooms.Put(room)
}

// isWord says whether the byte at i belongs to a word. A sign does between letters, where it is one of them.
func isWord(s string, i int) bool {
	b := s[i]
	if isLetter(b) || isDigit(b) || b >= 0x80 {
		return true
	}
	switch b {
	case '@', '$':
		return i+1 < len(s) && (isLetter(s[i+1]) || s[i+1] == b) || i > 0 && (isLetter(s[i-1]) || isDigit(s[i-1]) || s[i-1] == b)
	case '!', '*', '#', '+':
		return i > 0 && i+1 < len(s) && isLetter(s[i+1]) && isLetter(s[i-1]) || b == '*' && i > 0 && censored(s, i)
	case '\'': // don't
		return i > 0 && s[i-1] == 'n' && i+1 < len(s) && s[i+1] == 't' && (i+2 == len(s) || !isLetter(s[i+2]))
	}
	return false
}

// censored says whether the star at i is one of up to four between letters.
func censored(s string, i int) bool {
	a, b := i, i
	for a > 0 && s[a] == '*' && i-a < 4 {
		a--
	}
	for b < len(s) && s[b] == '*' && b-i < 4 {
		b++
	}
	return b < len(s) && isLetter(s[a]) && isLetter(s[b]) && b-a <= 5
}

func contracted(s string) string {
	if strings.HasSuffix(s, "n't") {
		return s[:len(s)-2] + "t"
	}
	return s
}

// joinSpaced puts single letters with single marks between them together.
func joinSpaced(s string, words []Word) []Word {
	n := 0 // in place: never ahead of what is read
	for i := 0; i < len(words); {
		j := i + 1
		for j < len(words) && single(words[j-1]) && single(words[j]) && words[j].Start == words[j-1].End+1 && s[words[j].Start-1] != '\n' {
			j++
		}
		if j-i < minSpaced {
			if n != i {
				copy(words[n:], words[i:j])
			}
			n += j - i
			i = j
			continue
		}
		letters := make([]byte, 0, j-i)
		for _, w := range words[i:j] {
			letters = append(letters, s[w.Start])
		}
		words[n] = Word{Start: words[i].Start, End: words[j-1].End, S: string(letters), Spaced: true}
		n++
		i = j
	}
	return words[:n]
}

func single(w Word) bool { return w.End-w.Start == 1 }

// maxReading bounds the words that have another reading.
const maxReading = 40

// Readings calls f with the ways to read s other than as it stands: digits and signs as letters, and letters that are
// drawn out once and twice. The slice is f's only until it returns.
func Readings(s string, f func([]byte)) {
	if len(s) > maxReading || len(s) < 2 {
		return
	}
	letters, leet, drawn := 0, 0, false
	for i := range len(s) {
		if isLetter(s[i]) {
			letters++
		} else if leetLetter(s[i]) != 0 {
			leet++
		}
		drawn = drawn || i > 1 && s[i] == s[i-1] && s[i] == s[i-2]
	}
	switch {
	case leet > 0 && letters > 0 && leet <= 2*letters+2:
		f(unleet(s, 'i'))
		collapse(unleet(s, 'i'), f)
		if strings.ContainsAny(s, "1!") {
			f(unleet(s, 'l'))
		}
	case leet == 0 && drawn: // most words are neither, and cost no memory
		collapse([]byte(s), f)
	}
}

// unleet reads digits and signs as letters; one is what 1 and ! are.
func unleet(s string, one byte) []byte {
	out := []byte(s)
	for i, b := range out {
		if b == '1' || b == '!' {
			out[i] = one
		} else if c := leetLetter(b); c != 0 {
			out[i] = c
		}
	}
	return out
}

// collapse reads three equal letters or more as one, and as two.
func collapse(s []byte, f func([]byte)) {
	for _, most := range []int{1, 2} {
		var buf [maxReading]byte
		out, changed := buf[:0], false
		for i := 0; i < len(s); {
			j := i
			for j < len(s) && s[j] == s[i] {
				j++
			}
			n := j - i
			if n > 2 {
				n, changed = most, true
			}
			out = append(out, s[i:i+n]...)
			i = j
		}
		if !changed {
			return
		}
		f(out)
	}
}

func leetLetter(b byte) byte {
	switch b {
	case '0':
		return 'o'
	case '1', '!':
		return 'i'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7', '+':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	}
	return 0
}
