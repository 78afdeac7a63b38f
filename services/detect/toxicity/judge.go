package toxicity

import (
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

// verdict is what a label gets in a segment: its score, the words it is about, and why.
type verdict struct {
	score    float64
	from, to int // words, to included
	why      string
}

// Weights of the rules beside the model.
const (
	directed       = 0.78 // an insult that is said to somebody
	threatened     = 0.82 // violence announced to somebody
	raiseOdd       = 0.3  // somebody disguised the word
	lowerMention   = 0.5  // the word is spoken about
	lowerQuoted    = 0.8
	ownFault       = 0.3  // an insult of oneself
	mostAlone      = 0.45 // of the model without a word of the lexicon: a few letters are not enough to accuse
	reach          = 4    // words between "you" and what is said of them
	severeTogether = 0.75
	mostNamed      = 0.25 // of a segment that only names a group
)

const (
	toxic = iota
	severe
	obscene
	insult
	threat
	identity
)

// judge scores a segment: the model's score of its features or what a rule says, whichever is more.
func (d *Detector) judge(text *fold.Text, s segment, features []uint32) [6]verdict {
	var out [6]verdict
	most := d.most(s)
	if d.model != nil {
		for l, p := range d.model.scores(features) {
			out[l] = verdict{min(p, most), 0, len(s.words) - 1, "model"}
		}
	}
	if most == 1 { // else no rule has a word to go by
		d.rules(&out, text, s)
	}
	for l := severe; l <= identity; l++ {
		if v := out[l]; v.score >= minScore && v.score > out[toxic].score {
			out[toxic] = verdict{v.score, v.from, v.to, v.why + " (" + strings.ToLower(Labels[l]) + ")"}
		}
	}
	return out
}

// rules puts what rules say over the model's verdicts, where it is more.
func (d *Detector) rules(out *[6]verdict, text *fold.Text, s segment) {
	mention, quoted := slices.Contains(s.classes, d.kinds.mention), strings.ContainsAny(around(text.S, s), "\"`")
	for i, c := range s.classes {
		d.word(out, s, i, c, mention, quoted)
	}
	if i, j := d.threat(s); j > 0 {
		out[threat].atLeast(lowered(threatened, mention, false), i, j, "announced violence")
	}
	if out[identity].score >= 0.5 && (out[obscene].score >= 0.5 || out[threat].score >= 0.5) || out[threat].score >= 0.5 && out[obscene].score >= 0.5 {
		out[severe].atLeast(lowered(severeTogether, mention, quoted), 0, len(s.words)-1, "several together")
	}
}

// most is what the model may say of a segment at most if no word of the lexicon is against
// somebody. One that names a group of people needs such a word: being named must never be enough.
func (d *Detector) most(s segment) float64 {
	named := false
	for _, c := range s.classes {
		switch {
		case c == 0:
		case d.lex.classes[c].grade > 0, c == d.kinds.violence, c == d.kinds.hostile:
			return 1
		default:
			named = named || c == d.kinds.group
		}
	}
	if named {
		return mostNamed
	}
	return mostAlone
}

// around is the segment with a few bytes on each side.
func around(s string, g segment) string {
	return s[max(0, g.words[0].Start-2):min(len(s), g.words[len(g.words)-1].End+2)]
}

func lowered(score float64, mention, quoted bool) float64 {
	if mention {
		score *= lowerMention
	} else if quoted {
		score *= lowerQuoted
	}
	return score
}

func (v *verdict) atLeast(score float64, from, to int, why string) {
	if score > v.score {
		*v = verdict{score, from, to, why}
	}
}

// word is what the lexicon says of the word i.
func (d *Detector) word(out *[6]verdict, s segment, i, c int, mention, quoted bool) {
	if c == 0 || d.lex.classes[c].grade == 0 {
		return
	}
	k, why := d.lex.classes[c], "lexicon "+d.lex.classes[c].name
	grade := k.grade
	if c == d.kinds.insult || c == d.kinds.ambiguous {
		switch {
		case d.directedAt(s, i):
			grade, why = directed, why+", directed"
		case d.near(s, i, d.kinds.self):
			grade, why = ownFault, why+", at oneself"
		}
	}
	if s.odd[i] || s.words[i].Spaced {
		grade, why = 1-(1-grade)*(1-raiseOdd), why+"; +disguised"
	}
	if score := lowered(grade, mention, quoted); score < grade {
		grade, why = score, why+"; -spoken about"
	}
	for l, name := range Labels {
		for _, label := range k.labels {
			if label == name && (l != severe || !mention && d.directedAt(s, i)) {
				out[l].atLeast(grade, i, i, why)
			}
		}
	}
}

// near says whether a word of the class stands within a few words before the word i.
func (d *Detector) near(s segment, i, class int) bool {
	for k := i - 1; k >= 0 && k >= i-reach; k-- {
		if s.classes[k] == class {
			return true
		}
	}
	return false
}

// directedAt says whether "you" stands within a few words before the word i, or right behind, and no "not" between.
func (d *Detector) directedAt(s segment, i int) bool {
	for k := i - 1; k >= 0 && k >= i-reach; k-- {
		switch s.classes[k] {
		case d.kinds.not, d.kinds.self:
			return false
		case d.kinds.you:
			return true
		}
	}
	return i+1 < len(s.classes) && s.classes[i+1] == d.kinds.you
}

// threat finds "I will kill you" and its kin: somebody, an intention, violence and whom it meets, in this order. The
// second result is 0 if there is none.
func (d *Detector) threat(s segment) (from, to int) {
	who, will, what := -1, false, -1
	for i, c := range s.classes {
		switch {
		case c == d.kinds.self:
			who, will, what = i, false, -1
		case c == d.kinds.not || c == d.kinds.technical:
			who, will, what = -1, false, -1
		case who >= 0 && c == d.kinds.will:
			will = true
		case who >= 0 && will && c == d.kinds.violence && i-who <= 2*reach:
			what = i
		case what >= 0 && i-what <= 2 && (c == d.kinds.you || c == d.kinds.group):
			return who, i
		}
	}
	return 0, 0
}
