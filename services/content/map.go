package content

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Map leads from places in a text to those in the document that it is from.
type Map struct {
	pieces []piece // in the order of the text
	doc    string
	runes  counts // nil if the document is the text
}

// piece is a part of a text: what the document has there, or what an entity there stands for.
type piece struct {
	text, doc [2]int // bytes
	same      bool   // the document has the same bytes there
}

// Back returns where in the document a place in the text is. It is one place for each part of the document between tags
// that has more than white space; an entity is in it as a whole.
func (m Map) Back(s wire.Span) []wire.Span {
	switch {
	case m.runes == nil:
		return []wire.Span{s}
	case s.Byte == nil:
		return nil
	}
	var out []wire.Span
	i, _ := slices.BinarySearchFunc(m.pieces, s.Byte[0], func(p piece, at int) int { return p.text[1] - at - 1 })
	end := -1
	for ; i < len(m.pieces) && m.pieces[i].text[0] < s.Byte[1]; i++ {
		p := m.pieces[i]
		from, to := p.doc[0], p.doc[1]
		if p.same {
			from, to = from+max(0, s.Byte[0]-p.text[0]), to-max(0, p.text[1]-s.Byte[1])
		}
		switch {
		case from >= to || strings.TrimSpace(m.doc[from:to]) == "":
			continue
		case from == end:
			last := out[len(out)-1]
			last.Byte[1], last.Rune[1] = to, m.rune(to)
		default:
			out = append(out, wire.Span{Byte: &[2]int{from, to}, Rune: &[2]int{m.rune(from), m.rune(to)}, Why: s.Why})
		}
		end = to
	}
	return out
}

// Output makes all places that a detector named in the text places in the document.
func (m Map) Output(o wire.Output) wire.Output { return moved(o, m.Back) }

// block is how many bytes lie between those whose code points are counted beforehand.
const block = 64

// counts has, for each block of a document, its first byte that starts a code point, and how many are before.
type counts [][2]int

func count(doc string) (all counts) {
	n := 0
	for i := range doc {
		if i >= len(all)*block {
			all = append(all, [2]int{i, n})
		}
		n++
	}
	return all
}

// rune returns how many code points are before a byte of the document.
func (m Map) rune(at int) int {
	i, found := slices.BinarySearchFunc(m.runes, at, func(c [2]int, at int) int { return c[0] - at })
	if !found {
		i--
	}
	if i < 0 {
		return 0
	}
	return m.runes[i][1] + utf8.RuneCountInString(m.doc[m.runes[i][0]:at])
}
