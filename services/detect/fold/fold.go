// Package fold makes content plain for matching and keeps the way back: letters that only look different become the
// same (case, accents, width, homoglyphs, mathematical alphabets), invisible ones go, and every place in the plain
// text can be traced to bytes of the content. It is one pass, linear, and takes any bytes.
package fold

import (
	"sort"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Map leads from a made text back to the one it was made of. The zero Map says that they are the same.
type Map struct{ pieces []piece }

// piece is a stretch of the made text. A straight one is the original byte by byte; any other came as a whole from
// one place of the original.
type piece struct {
	at       int // where it begins in the made text
	from, to int // bytes of the original; of a straight one only from counts
	straight bool
	odd      bool // somebody took trouble to write it like this
}

func (m *Map) find(p int) int {
	return sort.Search(len(m.pieces), func(i int) bool { return m.pieces[i].at > p }) - 1
}

// Span is where the bytes i to j of the made text are in the original.
func (m *Map) Span(i, j int) (start, end int) {
	if len(m.pieces) == 0 || i >= j {
		return i, max(i, j)
	}
	first, last := m.pieces[m.find(i)], m.pieces[m.find(j-1)]
	start, end = first.from, last.to
	if first.straight {
		start += i - first.at
	}
	if last.straight {
		end = last.from + j - last.at
	}
	return start, end
}

// Odd says whether the bytes i to j were written in a way that hides them from a plain search.
func (m *Map) Odd(i, j int) bool {
	if len(m.pieces) == 0 {
		return false
	}
	for k := max(m.find(i), 0); k < len(m.pieces) && m.pieces[k].at < j; k++ {
		if m.pieces[k].odd && m.pieces[k].at >= i {
			return true
		}
	}
	return false
}

// maker writes the made text and its map.
type maker struct {
	out    []byte
	pieces []piece
	next   int // the byte of the original that would go on with a straight piece; -1 if none would
}

func newMaker(size int) *maker {
	return &maker{out: make([]byte, 0, size+size/16), next: -1}
}

// stretch writes the bytes from to to of content, each of which stands for itself.
func (m *maker) stretch(content string, from, to int) {
	if from == to {
		return
	}
	if m.next != from {
		m.pieces = append(m.pieces, piece{at: len(m.out), from: from, straight: true})
	}
	m.out = append(m.out, content[from:to]...)
	m.next = to
}

// other writes s for the bytes from to to.
func (m *maker) other(s string, from, to int, odd bool) {
	if s == "" {
		return
	}
	m.pieces = append(m.pieces, piece{at: len(m.out), from: from, to: to, odd: odd})
	m.out = append(m.out, s...)
	m.next = -1
}

// Text is content made plain.
type Text struct {
	S string
	Map
}

// New makes content plain: lower case, without accents, ASCII where a letter has a look-alike there; what is neither
// letter, digit nor ASCII is a space.
func New(content string) Text {
	if asciiEnd(content, 0) == len(content) {
		b := []byte(content)
		lowerAll(b)
		return Text{S: string(b)}
	}
	m := newMaker(len(content))
	foreign := mostlyForeign(content)
	hidden := false // something invisible was left out just before
	for i := 0; i < len(content); {
		if b := content[i]; b < utf8.RuneSelf {
			if hidden && isLetter(b) {
				m.other(string(lower(b)), i, i+1, len(m.out) > 0 && isLetter(m.out[len(m.out)-1]))
				i++
			} else {
				end := asciiEnd(content, i)
				m.stretch(content, i, end)
				lowerAll(m.out[len(m.out)-(end-i):])
				i = end
			}
			hidden = false
			continue
		}
		r, size := utf8.DecodeRuneInString(content[i:])
		if r == utf8.RuneError && size == 1 || Invisible(r) {
			hidden = hidden || r != softHyphen && !unicode.Is(unicode.Mn, r)
			i += size
			continue
		}
		s, odd := plain(r, foreign && !beside(m.out, content[i+size:]))
		m.other(s, i, i+size, odd)
		hidden = false
		i += size
	}
	return Text{S: string(m.out), Map: Map{pieces: m.pieces}}
}

const softHyphen = '\u00ad'

// Invisible says whether a reader sees nothing of r: it has no width, or only steers what is around it.
func Invisible(r rune) bool {
	switch {
	case r == softHyphen, r == '\u034f', r == '\u061c', r == '\u180e', r == '\ufeff', r == '\u3164', r == '\uffa0',
		r >= '\u115f' && r <= '\u1160', r >= '\u17b4' && r <= '\u17b5', r >= '\u200b' && r <= '\u200f',
		r >= '\u202a' && r <= '\u202e', r >= '\u2060' && r <= '\u206f', r >= '\ufe00' && r <= '\ufe0f',
		r >= '\ufff9' && r <= '\ufffb', r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Mn, r)
}

// plain is r as it is matched, and whether it is a disguise of a letter of ASCII.
func plain(r rune, foreign bool) (string, bool) {
	if s, ok := signs[r]; ok {
		return s, false
	}
	if s, ok := lookalikes[r]; ok {
		if foreign && unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian) {
			return string(unicode.ToLower(r)), false
		}
		return s, !unicode.Is(unicode.Latin, r) || oddLatin(r)
	}
	if r >= 0x1f130 && r <= 0x1f189 || r >= 0x1f1e6 && r <= 0x1f1ff {
		return enclosed(r), true
	}
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	if d := norm.NFKD.Properties(buf[:n]).Decomposition(); d != nil {
		return decomposed(r, d, foreign)
	}
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		return string(unicode.ToLower(r)), false
	}
	return " ", false
}

// decomposed is what r is made of, without accents. An accented letter of Latin is no disguise, one of another width or
// alphabet is.
func decomposed(r rune, d []byte, foreign bool) (string, bool) {
	var out []byte
	for len(d) > 0 {
		c, size := utf8.DecodeRune(d)
		d = d[size:]
		switch {
		case c < utf8.RuneSelf:
			out = append(out, lower(byte(c)))
		case Invisible(c):
		default:
			s, ok := lookalikes[c]
			if !ok || foreign {
				s = string(unicode.ToLower(c))
			}
			out = append(out, s...)
		}
	}
	return string(out), r >= 0x1d00 && (r < 0x1e00 || r > 0x1eff) && len(out) > 0 && isLetter(out[0]) && r != '\u2122' && (r < 0xfb00 || r > 0xfb06)
}

// enclosed is the letter in a sign such as a negative square or a regional indicator.
func enclosed(r rune) string {
	switch {
	case r >= 0x1f1e6:
		return string('a' + r - 0x1f1e6)
	case r >= 0x1f170:
		return string('a' + r - 0x1f170)
	case r >= 0x1f150:
		return string('a' + min(r-0x1f150, 25))
	}
	return string('a' + min(r-0x1f130, 25))
}

// mostlyForeign says whether more letters are of another alphabet than of Latin: such a text is no disguise.
func mostlyForeign(content string) bool {
	latin, other := 0, 0
	for i := 0; i < len(content); {
		if b := content[i]; b < utf8.RuneSelf {
			if isLetter(lower(b)) {
				latin++
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(content[i:])
		if r >= 0x370 && r < 0x590 {
			other++
		}
		i += size
	}
	return other > latin
}

// beside says whether a letter of ASCII is right before or after.
func beside(before []byte, after string) bool {
	return len(before) > 0 && isLetter(before[len(before)-1]) || after != "" && isLetter(lower(after[0]))
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// lowerAll makes the letters of ASCII in b small.
func lowerAll(b []byte) {
	for i, c := range b {
		b[i] = lower(c)
	}
}

// asciiEnd is where the bytes of ASCII from i on end.
func asciiEnd(s string, i int) int {
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' }
func isDigit(b byte) bool  { return b >= '0' && b <= '9' }
