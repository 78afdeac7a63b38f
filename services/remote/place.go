package remote

import (
	"slices"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

// place gives the findings their places in bytes and code points of the content, in one pass over it. A place that is
// not in the content, or in the midst of a code point, is dropped.
func place(findings []wire.Finding, content string) {
	var at *places
	for i := range findings {
		kept := findings[i].Spans[:0]
		for _, s := range findings[i].Spans {
			if at == nil {
				at = index(content)
			}
			if s, ok := at.span(s); ok {
				kept = append(kept, s)
			}
		}
		findings[i].Spans = kept
	}
}

// places has where each code point begins, and the end behind the last: in bytes, and in units of UTF-16.
type places struct{ bytes, utf16 []int }

func index(content string) *places {
	n := utf8.RuneCountInString(content) + 1
	p := &places{make([]int, 0, n), make([]int, 0, n)}
	units := 0
	for at, r := range content {
		p.bytes, p.utf16 = append(p.bytes, at), append(p.utf16, units)
		if units++; r > 0xFFFF {
			units++
		}
	}
	p.bytes, p.utf16 = append(p.bytes, len(content)), append(p.utf16, units)
	return p
}

// span is a span in bytes and code points, whatever it was counted in.
func (p *places) span(s wire.Span) (wire.Span, bool) {
	var at [2]int
	for i := range at {
		ok := true
		switch {
		case s.Rune != nil:
			at[i] = s.Rune[i]
		case s.UTF16 != nil:
			at[i], ok = slices.BinarySearch(p.utf16, s.UTF16[i])
		case s.Byte != nil:
			at[i], ok = slices.BinarySearch(p.bytes, s.Byte[i])
		}
		if !ok || at[i] < 0 || at[i] >= len(p.bytes) {
			return s, false
		}
	}
	return wire.Span{Byte: &[2]int{p.bytes[at[0]], p.bytes[at[1]]}, Rune: &at}, at[0] < at[1]
}
