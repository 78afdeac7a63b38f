// Package toxicity finds toxic, obscene, insulting, threatening and hateful speech: a graded lexicon, disguises undone,
// and a small linear model over character n-grams and the lexicon's classes, trained by the command in train. Words
// for groups of people are in the lexicon only so that the model sees whom a sentence is about; alone they score
// nothing. README.md has the measured quality, and what this cannot see.
package toxicity

import (
	"context"
	"slices"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

// Detector is safe for concurrent use: nothing changes it.
type Detector struct {
	lex   *lexicon
	model *Model // nil while it is trained
	kinds kinds
}

var _ detect.Detector = (*Detector)(nil)

// kinds are the classes that rules ask for.
type kinds struct{ obscene, insult, ambiguous, slur, violence, you, self, will, mention, technical, group, hostile, not int }

const (
	maxHits  = 500
	minScore = 0.3 // below, a finding is not worth saying
	pause    = 256 // segments between two looks at the context
)

// builtin has no state but its rules.
var builtin = build()

func build() *Detector {
	x, err := parse(lexiconText)
	if err != nil {
		panic("toxicity: lexicon.txt: " + err.Error())
	}
	d := &Detector{lex: x}
	i := x.index
	d.kinds = kinds{i["obscene"], i["insult"], i["ambiguous"], i["slur"], i["violence"], i["you"], i["self"], i["will"], i["mention"], i["technical"], i["group"], i["hostile"], i["not"]}
	d.model, _ = loadModel(modelBytes) // a test sees that it is there; the trainer makes it
	return d
}

// New is the detector with the built-in lexicon and model.
func New() *Detector { return builtin }

// Name of the detector.
func (d *Detector) Name() string { return "toxicity" }

// Version of its lexicon and model.
func (d *Detector) Version() string { return "2026.11.1" }

// Labels that it can say.
func (d *Detector) Labels() []string { return slices.Clone(Labels) }

// Detect finds what is there, sentence by sentence. Its time is linear in the content's length.
func (d *Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	unescaped, back, _ := fold.Unescape(content)
	text := fold.New(unescaped)
	var hits []detect.Hit
	features := make([]uint32, 0, 1024)
	n, stopped := 0, error(nil)
	d.lex.segments(&text, func(s segment) {
		if n++; n%pause == 0 {
			stopped = ctx.Err()
		}
		if stopped != nil || len(hits) >= maxHits {
			return
		}
		features = s.features(d.kinds.group, features[:0])
		for l, v := range d.judge(&text, s, features) {
			if v.score < minScore || len(hits) >= maxHits {
				continue
			}
			h := detect.Hit{Label: Labels[l], Score: min(v.score, 0.99), Rule: v.why}
			h.Start, h.End = back.Span(text.Span(s.words[v.from].Start, s.words[v.to].End))
			hits = append(hits, h)
		}
	})
	if stopped != nil {
		return nil, stopped
	}
	slices.SortStableFunc(hits, func(a, b detect.Hit) int { return a.Start - b.Start })
	detect.Runes(content, hits)
	return hits, nil
}
