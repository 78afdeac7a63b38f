package injection

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

// finding is a hit in the making.
type finding struct {
	label      string
	score      float64
	start, end int // of the content
	why        string
	lowered    bool // its surroundings speak against it
}

// Weights of the surroundings: raise takes a share of what is missing to 1, lower multiplies.
const (
	raiseOdd     = 0.35
	raiseHidden  = 0.5
	raiseDecoded = 0.5
	raiseKind    = 0.3
	maxKinds     = 3
	lowerQuoted  = 0.85
	lowerTold    = 0.4 // quoted and spoken about
	lowerMuch    = 0.5 // spoken about in several words
	lowerLittle  = 0.85
	lowerNegated = 0.4
	lowerOthers  = 0.5 // somebody else does it, or may
	manyWords    = 3   // of discussion that are several
)

// Reaches of the surroundings.
const (
	discussWords = 24
	negateWords  = 3
	nearBytes    = 1000
)

func raise(score, share float64) float64 { return 1 - (1-score)*(1-share) }

// scan finds what the layer has, and the layers that are encoded in it.
func (d *Detector) scan(l *layer) ([]finding, []layer) {
	text := fold.New(l.text)
	s := sentences.Get().(*sentence)
	defer sentences.Put(s)
	s.read(d.g, &text)
	v := view{d: d, l: l, text: &text, s: s, hidden: regions(text.S), quotes: quotes(text.S)}
	var out []finding
	s.matches(d.g, func(m match) {
		r := d.g.rules[m.rule]
		a, b := s.tokens[m.from], s.tokens[m.to]
		out = append(out, v.judge(r.label, r.name, r.score, max(a.start, 0), b.end, m.from, m.to)...)
	})
	for _, sp := range spots(text.S) {
		i, j := v.tokens(sp.start, sp.end)
		out = append(out, v.judge(sp.label, sp.name, sp.score, sp.start, sp.end, i, j)...)
	}
	return out, d.deeper(l, s)
}

// deeper are the layers that are encoded in this one.
func (d *Detector) deeper(l *layer, s *sentence) []layer {
	more := l.payloads()
	all := len(s.tokens) - 1
	if s.count(d.turned, 0, all) > 1 {
		t := *l
		t.text, t.via = rot13(l.text), l.through("rot13")
		more = append(more, t)
	}
	if s.count(d.backwards, 0, all) > 1 && !l.mirrored {
		t := *l
		t.text, t.via, t.mirrored = reversed(l.text), l.through("reversed"), true
		more = append(more, t)
	}
	return more
}

// view is a layer with all that its surroundings are judged by.
type view struct {
	d      *Detector
	l      *layer
	text   *fold.Text
	s      *sentence
	hidden []region
	quotes []region
}

// tokens are the first token from the byte i on and the last before j.
func (v *view) tokens(i, j int) (int, int) {
	t := v.s.tokens
	return sort.Search(len(t), func(k int) bool { return t[k].end > i }), sort.Search(len(t), func(k int) bool { return t[k].start >= j }) - 1
}

// judge weighs something found at bytes i to j of the plain text, tokens a to b. In a hidden part it is two findings.
func (v *view) judge(label, name string, score float64, i, j, a, b int) []finding {
	f := finding{label: label, score: score, why: name}
	f.start, f.end = v.l.span(v.text.Span(i, j))
	if v.odd(i, j, a, b) {
		f.raised("disguised", raiseOdd)
	}
	if len(v.l.via) > 0 {
		f.raised(strings.Join(v.l.via, " in "), raiseDecoded)
	}
	where := within(v.hidden, i, j)
	if where == nil {
		if len(v.l.via) == 0 {
			v.lower(&f, i, j, a, b)
		}
		return []finding{f}
	}
	if f.score < 0.4 {
		return []finding{f}
	}
	f.raised(where.name, raiseHidden)
	hidden := finding{label: "INDIRECT_INJECTION", score: f.score, why: where.name + " with " + label}
	hidden.start, hidden.end = v.l.span(v.text.Span(where.start, where.end))
	if where.name == "hidden-element" {
		unseen := hidden
		unseen.label, unseen.score = "HIDDEN_TEXT", 0.7
		return []finding{f, hidden, unseen}
	}
	return []finding{f, hidden}
}

func (f *finding) raised(why string, share float64) {
	f.score = raise(f.score, share)
	f.why += "; +" + why
}

func (f *finding) lower(why string, by float64) {
	f.score *= by
	f.why += "; -" + why
	f.lowered = f.lowered || by < 0.8
}

func (v *view) odd(i, j, a, b int) bool {
	for _, t := range v.s.tokens[min(a, len(v.s.tokens)):max(min(b+1, len(v.s.tokens)), min(a, len(v.s.tokens)))] {
		if t.odd {
			return true
		}
	}
	return v.text.Odd(i, j)
}

// lower takes off what the surroundings say against a finding.
func (v *view) lower(f *finding, i, j, a, b int) {
	told := v.s.count(v.d.discuss, a-discussWords, a-1) + v.s.count(v.d.discuss, b+1, b+discussWords)
	quoted := within(v.quotes, i, j) != nil
	switch {
	case quoted && told > 0:
		f.lower("quoted and spoken about", lowerTold)
	case told >= manyWords:
		f.lower("spoken about", lowerMuch)
	case quoted:
		f.lower("quoted", lowerQuoted)
	case told > 0:
		f.lower("perhaps spoken about", lowerLittle)
	}
	switch f.label {
	case "INSTRUCTION_OVERRIDE", "POLICY_OVERRIDE", "SYSTEM_PROMPT_LEAK", "TOOL_ABUSE", "DATA_EXFILTRATION":
	default:
		return
	}
	if !strings.HasPrefix(f.why, "no") && v.before(v.d.negate, a, negateWords) { // the name of a rule that has its own no
		f.lower("negated", lowerNegated)
	} else if v.before(v.d.third, a, 1) || v.before(v.d.permit, a, 1) {
		f.lower("of others", lowerOthers)
	}
}

// before says whether one of the n tokens before a is of the concept, in the same sentence.
func (v *view) before(c concept, a, n int) bool {
	for k := a - 1; k >= 0 && k >= a-n; k-- {
		if strings.ContainsAny(v.text.S[v.s.tokens[k].end:max(v.s.tokens[k].end, min(v.s.tokens[k+1].start, v.s.tokens[k].end+8))], ".!?\n;:,") {
			return false
		}
		if v.s.window(c, k)&1 != 0 {
			return true
		}
	}
	return false
}

// within is the region that has the bytes i to j, if one does. Regions are ordered and do not overlap.
func within(list []region, i, j int) *region {
	k := sort.Search(len(list), func(k int) bool { return list[k].end > i })
	if k < len(list) && list[k].start <= i && j <= list[k].end {
		return &list[k]
	}
	return nil
}

// maxQuote is how long what is quoted may be.
const maxQuote = 300

// quotes finds what stands in quotation marks, backticks and fences.
func quotes(s string) []region {
	var out []region
	for i := 0; i < len(s); {
		n := strings.IndexAny(s[i:], "\"`'")
		if n < 0 {
			break
		}
		i += n
		shut, limit := s[i:i+1], maxQuote
		if strings.HasPrefix(s[i:], "```") {
			shut, limit = "```", 10*maxQuote
		} else if s[i] == '\'' && i > 0 && wordByte(s[i-1]) {
			i++
			continue
		}
		from := i + len(shut)
		end := strings.Index(s[from:min(len(s), from+limit)], shut)
		if end < 0 || len(shut) == 1 && strings.Contains(s[from:from+end], "\n\n") {
			i = from
			continue
		}
		end += from + len(shut)
		out = append(out, region{i, end, "quoted"})
		i = end
	}
	return out
}

func wordByte(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= 0x80 }

// merge makes one of findings of one label that overlap: the strongest, over all their bytes. The result is ordered.
func merge(found []finding) []finding {
	slices.SortStableFunc(found, func(a, b finding) int {
		if c := strings.Compare(a.label, b.label); c != 0 {
			return c
		}
		return a.start - b.start
	})
	out := found[:0]
	for _, f := range found {
		if n := len(out); n > 0 && out[n-1].label == f.label && f.start < out[n-1].end {
			last := &out[n-1]
			f.start, f.end = last.start, max(last.end, f.end)
			if f.score <= last.score {
				f.score, f.why, f.lowered = last.score, last.why, last.lowered
			}
			*last = f
			continue
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b finding) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	return out
}

// together raises findings that others of another kind are near to. It is one pass: what is near comes and goes.
func together(found []finding) {
	near := map[string]int{}
	counts := func(f finding) bool { return !f.lowered && f.score >= 0.4 }
	scores := make([]float64, len(found))
	whys := make([]string, len(found))
	lo, hi := 0, 0
	for i, f := range found {
		for ; hi < len(found) && found[hi].start <= f.start+nearBytes; hi++ {
			if counts(found[hi]) {
				near[found[hi].label]++
			}
		}
		for ; found[lo].start < f.start-nearBytes; lo++ {
			if counts(found[lo]) {
				near[found[lo].label]--
			}
		}
		scores[i], whys[i] = f.score, f.why
		kinds := 0
		for label, n := range near {
			if n > 0 && label != f.label {
				kinds++
			}
		}
		if kinds = min(kinds, maxKinds); kinds > 0 && !f.lowered {
			scores[i] = 1 - (1-f.score)*math.Pow(1-raiseKind, float64(kinds))
			whys[i] += "; +" + strconv.Itoa(kinds) + " of other kinds near"
		}
	}
	for i := range found {
		found[i].score, found[i].why = min(scores[i], 0.99), whys[i]
	}
}
