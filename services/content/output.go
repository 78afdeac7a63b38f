package content

import (
	"cmp"
	"slices"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Rebase makes places in a chunk places in the content that it is of. A place that is not in the chunk is left out.
func Rebase(o wire.Output, c Chunk) wire.Output {
	return moved(o, func(s wire.Span) []wire.Span {
		if s.Byte == nil || s.Rune == nil {
			s = s.In(c.Text)
		}
		if s.Byte == nil || s.Rune == nil || s.Byte[0] < 0 || s.Byte[1] > len(c.Text) {
			return nil
		}
		return []wire.Span{{Byte: add(*s.Byte, c.Byte[0]), Rune: add(*s.Rune, c.Rune[0]), Why: s.Why}}
	})
}

func add(at [2]int, n int) *[2]int { return &[2]int{at[0] + n, at[1] + n} }

// moved is an output with each of its places moved.
func moved(o wire.Output, to func(wire.Span) []wire.Span) wire.Output {
	o.Findings = slices.Clone(o.Findings)
	for i := range o.Findings {
		var spans []wire.Span
		for _, s := range o.Findings[i].Spans {
			spans = append(spans, to(s)...)
		}
		o.Findings[i].Spans = spans
	}
	return o
}

// Merge makes one output of those that a detector gave for the chunks of a content, rebased. A label has its highest
// score and all its places, of which those that overlap are one; it is clean only where all say so, and a detector that
// found something in one chunk does not say that there is nothing.
func Merge(outputs []wire.Output) wire.Output {
	if len(outputs) == 0 {
		return wire.Output{}
	}
	type name struct{ native, table string }
	out, at := outputs[0], map[name]int{}
	out.Findings = nil
	for _, o := range outputs {
		out.Note, out.Model = cmp.Or(out.Note, o.Note), cmp.Or(out.Model, o.Model)
		for _, f := range o.Findings {
			i, ok := at[name{f.Native, f.Table}]
			if !ok {
				at[name{f.Native, f.Table}] = len(out.Findings)
				f.Spans = slices.Clone(f.Spans) // which unite orders
				out.Findings = append(out.Findings, f)
				continue
			}
			g := &out.Findings[i]
			spans := slices.Concat(g.Spans, f.Spans)
			if stronger(f, *g) {
				*g = f
			}
			g.Spans = spans
		}
	}
	if slices.ContainsFunc(out.Findings, func(f wire.Finding) bool { return !f.Clean }) {
		out.Findings = slices.DeleteFunc(out.Findings, func(f wire.Finding) bool { return f.Clean && !f.Absent() })
	}
	for i := range out.Findings {
		out.Findings[i].Spans = unite(out.Findings[i].Spans)
	}
	return out
}

// stronger says whether a finding says more than another of its label.
func stronger(a, b wire.Finding) bool {
	if a.Clean != b.Clean {
		return b.Clean
	}
	return a.Score != nil && (b.Score == nil || *a.Score > *b.Score)
}

// unite makes places that overlap one, and orders them. Those without bytes come last, as they are.
func unite(spans []wire.Span) []wire.Span {
	slices.SortStableFunc(spans, func(a, b wire.Span) int {
		if a.Byte == nil || b.Byte == nil {
			return cmp.Compare(absent(a), absent(b))
		}
		return cmp.Or(cmp.Compare(a.Byte[0], b.Byte[0]), cmp.Compare(b.Byte[1], a.Byte[1]))
	})
	var out []wire.Span
	for _, s := range spans {
		n := len(out)
		if n == 0 || s.Byte == nil || s.Byte[0] >= out[n-1].Byte[1] {
			out = append(out, s)
			continue
		}
		last := &out[n-1]
		last.Byte = &[2]int{last.Byte[0], max(last.Byte[1], s.Byte[1])}
		if last.Rune != nil && s.Rune != nil {
			last.Rune = &[2]int{last.Rune[0], max(last.Rune[1], s.Rune[1])}
		}
	}
	return out
}

func absent(s wire.Span) int {
	if s.Byte == nil {
		return 1
	}
	return 0
}
