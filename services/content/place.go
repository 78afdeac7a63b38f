package content

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Place is where something is in a content, from its first position to the one after its last.
type Place struct {
	Label string
	Score float64
	Byte  [2]int
	Rune  [2]int
	By    []string // who says so, by name
}

// Dedupe makes places of one label that overlap one place, with the highest score, by all who say so. Those of different
// labels stay. The order is by where they start, then end, then by label.
func Dedupe(places []Place) []Place {
	var out []Place
	last := map[string]int{} // by label, the place in out that reaches farthest
	for _, p := range slices.SortedFunc(slices.Values(places), before) {
		i, ok := last[p.Label]
		if !ok || p.Byte[0] >= out[i].Byte[1] {
			last[p.Label] = len(out)
			p.By = slices.Clone(p.By)
			out = append(out, p)
			continue
		}
		out[i].Byte[1], out[i].Rune[1] = max(out[i].Byte[1], p.Byte[1]), max(out[i].Rune[1], p.Rune[1])
		out[i].Score, out[i].By = max(out[i].Score, p.Score), append(out[i].By, p.By...)
	}
	for i := range out {
		slices.Sort(out[i].By)
		out[i].By = slices.Compact(out[i].By)
	}
	slices.SortFunc(out, before)
	return out
}

func before(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Byte[0], b.Byte[0]), cmp.Compare(a.Byte[1], b.Byte[1]), cmp.Compare(a.Label, b.Label), cmp.Compare(b.Score, a.Score))
}

// Redact replaces what is at places by their labels in brackets: [PII.Contact.Email]. Places that overlap are replaced as
// one, by the label of the one that comes first in the list: the strictest, if the caller has ordered it so. A character
// that is in a place with one byte is in it with all. It returns how many replacements it made.
func Redact(text string, places []Place) (string, int) {
	type cut struct{ start, end, rank int }
	var cuts []cut
	for i, p := range places {
		start, end := max(0, p.Byte[0]), min(len(text), p.Byte[1])
		if start < end {
			start, _ = around(text, start)
			_, end = around(text, end-1)
			cuts = append(cuts, cut{start, end, i})
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.rank, b.rank)) })
	merged := cuts[:0]
	for _, c := range cuts {
		if n := len(merged); n > 0 && c.start < merged[n-1].end {
			m := &merged[n-1]
			m.end, m.rank = max(m.end, c.end), min(m.rank, c.rank)
			continue
		}
		merged = append(merged, c)
	}
	var out strings.Builder
	at := 0
	for _, c := range merged {
		out.WriteString(text[at:c.start] + "[" + places[c.rank].Label + "]")
		at = c.end
	}
	out.WriteString(text[at:])
	return out.String(), len(merged)
}

// around is where the code point that byte i is of starts and ends.
func around(text string, i int) (int, int) {
	for j := i; j >= 0 && j > i-utf8.UTFMax; j-- {
		if !utf8.RuneStart(text[j]) {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[j:]); j+size > i {
			return j, j + size
		}
		break
	}
	return i, i + 1
}
