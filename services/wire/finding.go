package wire

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Finding is one thing a detector said.
type Finding struct {
	Native string   // the label as the vendor writes it, or the words
	Words  string   // what to tell a model, if that is more than Native: a category's name for its code
	Table  string   // the detector whose table names this label, if it is not the output's
	Score  *float64 // how strongly, 0 to 1; nil if the detector only named it
	Scale  string   // what Score was made from
	Raw    string   // the vendor's own value: a number, or a word of the vendor's scale
	Clean  bool     // the detector says that there is nothing, or that this label is not there
	Spans  []Span   // where in the content, if the vendor says so
}

// Absent says that the detector named a label only to say that it is not there.
func (f Finding) Absent() bool { return f.Clean && f.Raw != "" }

// Span is a place in the content, from its first position to the one after its last. A vendor counts in one or more
// units. Without the content one cannot be derived from another, so a unit that the vendor did not send is nil.
type Span struct {
	Byte  *[2]int // bytes of UTF-8
	Rune  *[2]int // Unicode code points
	UTF16 *[2]int // 16-bit units of UTF-16
	Why   string  // the rule that found it, of our own detectors
}

// Limits of spans.
const (
	maxSpans  = 4096    // of one finding; the rest is dropped
	maxOffset = 1 << 31 // a larger offset is none
)

// In returns the span with bytes and code points filled in from the content that it points into; unchanged where it
// does not fit the content.
func (s Span) In(content string) Span {
	switch {
	case s.Rune != nil:
		s.Byte = convert(content, *s.Rune, inRunes, inBytes)
	case s.UTF16 != nil:
		s.Byte = convert(content, *s.UTF16, inUTF16, inBytes)
	}
	if s.Byte != nil && s.Rune == nil {
		s.Rune = convert(content, *s.Byte, inBytes, inRunes)
	}
	return s
}

// unit is how long a code point is in a unit, of which size is the length in bytes.
type unit func(r rune, size int) int

func inBytes(_ rune, size int) int { return size }
func inRunes(rune, int) int        { return 1 }

func inUTF16(r rune, _ int) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// convert counts content in two units and returns at, which is in the first, in the second; nil if it is inside of a
// code point or behind the end.
func convert(content string, at [2]int, from, to unit) *[2]int {
	out := [2]int{-1, -1}
	a, b := 0, 0
	for i := 0; ; {
		for j, v := range at {
			if v == a {
				out[j] = b
			}
		}
		if i == len(content) {
			break
		}
		r, size := utf8.DecodeRuneInString(content[i:])
		i, a, b = i+size, a+from(r, size), b+to(r, size)
	}
	if out[0] < 0 || out[1] < 0 {
		return nil
	}
	return &out
}

// offset is a position that vendors write as a number or, where it may have 64 bits, as a string.
type offset int

// UnmarshalJSON takes a number, a string of digits, or null. What is no position becomes -1, which makes no span.
func (o *offset) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "null" || text == "":
	case err != nil || v != float64(int(v)) || v < 0 || v > maxOffset:
		*o = -1
	default:
		*o = offset(v)
	}
	return nil
}

// pair returns two positions, nil if they are no span.
func pair(start, end offset) *[2]int {
	if start < 0 || end <= start {
		return nil
	}
	return &[2]int{int(start), int(end)}
}

// spans is the list of one span, empty if it has no unit.
func spans(s Span) []Span {
	if s.Byte == nil && s.Rune == nil && s.UTF16 == nil {
		return nil
	}
	return []Span{s}
}

// runes is the list of one span in code points.
func runes(start, end *offset) []Span {
	if start == nil || end == nil {
		return nil
	}
	return spans(Span{Rune: pair(*start, *end)})
}

// The scales that scores are made from.
const (
	scaleProbability = "probability"
	scaleRecogniser  = "score of the recogniser"
	scaleLikelihood  = "likelihood very unlikely to very likely"
	scaleConfidence  = "confidence low to high"
	scaleBoolean     = "yes or no"
)

// Words of confidence, as their part of the scale.
var (
	likelihoods = map[string]float64{"VERY_UNLIKELY": 0, "UNLIKELY": 0.25, "POSSIBLE": 0.5, "LIKELY": 0.75, "VERY_LIKELY": 1}
	confidences = map[string]float64{
		"LOW": 1. / 3, "MEDIUM": 2. / 3, "HIGH": 1,
		"LOW_AND_ABOVE": 1. / 3, "MEDIUM_AND_ABOVE": 2. / 3,
	}
)

// scored is a label with a score of 0 to 1.
func scored(name string, score *float64, scale string) Finding {
	if score == nil {
		return Finding{Native: name}
	}
	return Finding{Native: name, Score: clamp(score, 1), Scale: scale, Raw: number(*score)}
}

// likely is a label with its probability. One below a half is less likely than not, which is the detector's way to
// say that it is not there.
func likely(name string, p *float64) Finding {
	f := scored(name, p, scaleProbability)
	f.Clean = f.Score != nil && *f.Score < 0.5
	return f
}

// worded is a label with a word of a scale; other words are dropped, they could be anything.
func worded(name, word string, words map[string]float64, scale string) Finding {
	v, ok := words[word]
	if !ok {
		return Finding{Native: name}
	}
	return Finding{Native: name, Score: &v, Scale: scale, Raw: word}
}

// yes is a label that a detector answered with true.
func yes(name string) Finding { return Finding{Native: name, Scale: scaleBoolean, Raw: "true"} }

// number writes a vendor's number as JSON would.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// clamp brings a value of 0 to most into 0 to 1.
func clamp(v *float64, most float64) *float64 {
	if v == nil {
		return nil
	}
	c := min(1, max(0, *v/most))
	return &c
}

// add puts a finding to the others. A label that is there already keeps the stronger score and gets the spans of
// both; found wins over clean.
func (o *Output) add(f Finding) {
	i := slices.IndexFunc(o.Findings, func(g Finding) bool { return g.Native == f.Native && g.Table == f.Table })
	if i < 0 {
		if !o.full() {
			o.Findings = append(o.Findings, f)
		}
		return
	}
	g := &o.Findings[i]
	all := g.Spans
	all = append(all, f.Spans[:min(len(f.Spans), maxSpans-len(g.Spans))]...)
	switch {
	case g.Clean != f.Clean && g.Clean, g.Clean == f.Clean && f.Score != nil && (g.Score == nil || *f.Score > *g.Score):
		*g = f
	}
	g.Spans = all
}

// full says that there are too many findings already, so that reading on is of no use.
func (o *Output) full() bool { return len(o.Findings) > MaxFindings }

// note puts a sentence to those for the caller.
func (o *Output) note(s string) {
	if o.Note != "" {
		s = o.Note + "; " + s
	}
	o.Note = s
}

// slug writes a name that a customer chose, such as a denied topic's, behind a prefix: letters and digits stay, all
// else becomes a dash. A name that is too long is left out.
func slug(prefix, name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.':
			return r
		}
		return '-'
	}, strings.TrimSpace(name))
	if s = strings.Trim(s, "-"); s == "" || len(prefix)+1+len(s) > maxName {
		return prefix
	}
	return prefix + "/" + s
}
