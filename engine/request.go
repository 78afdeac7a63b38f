package engine

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/llama-mapper/llama-mapper/llama"
)

// Choice is a legal answer with its probability, rounded to thousandths.
type Choice struct {
	Answer int
	P      float64
}

// Answer is what the model makes of a prompt: the answer it gives and, behind it, the best of those that
// branched off it. At most three; the probabilities are the products of the branches' softmax.
type Answer []Choice

const (
	choices   = 3    // in an Answer
	rivals    = 6    // kept while a request runs, so that rounding decides what the third choice is
	roundable = 1e-3 // above this noise the third decimal is not kept stable; the order of the best two is
)

type result struct {
	answer Answer
	err    error
}

// request is one call of Ask. The lane that took it owns everything but ctx.
type request struct {
	ctx        context.Context
	background bool
	prompt     []llama.Token
	queued     time.Time
	done       chan result // has room for the result, so that a lane never waits for a caller
	slot
}

type backgroundKey struct{}

// Background marks requests under ctx as work that nobody waits for: they have a queue of their own, and yield to all others.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground says whether Background has marked ctx.
func IsBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

// slot is what a running request has in a lane.
type slot struct {
	seq      llama.Seq
	pos      llama.Pos     // of the next row
	pending  []llama.Token // rows not yet decoded
	at       *node         // where the answer stands; its forced run is in pending or decoded
	p        float64       // of the answer so far
	others   []Choice      // answers that branched off, with unrounded probabilities
	unsure   bool          // noise could change a branch
	alone    bool          // no other request was ever in its batches
	again    bool          // being decoded again, alone, for an answer that counts
	admitted time.Time
	prefill  time.Time // when its prompt was in the cache
}

// begin puts the request at the start of the trie, in sequence seq after a prefix of so many tokens.
func (r *request) begin(seq llama.Seq, prefix int, root *node) {
	again, admitted := r.again, r.admitted
	r.slot = slot{
		seq: seq, pos: llama.Pos(prefix), at: root, p: 1, alone: true, again: again, admitted: admitted,
		pending: slices.Concat(r.prompt, root.forced), others: r.others[:0],
	}
}

// branch takes the logits of the children, and steps down to the best one.
func (r *request) branch(logits []float32, temperature, noise float64) {
	best, second := 0, math.Inf(-1)
	for i, v := range logits {
		if i > 0 && v > logits[best] {
			second = float64(logits[best])
			best = i
		} else if i > 0 {
			second = max(second, float64(v))
		}
	}
	r.unsure = r.unsure || float64(logits[best])-second <= noise
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp((float64(v) - float64(logits[best])) / temperature)
	}
	for i, child := range r.at.children {
		if i != best && child.answer >= 0 {
			p := r.p * math.Exp((float64(logits[i])-float64(logits[best]))/temperature) / sum
			r.others = insert(r.others, Choice{child.answer, p}, rivals)
		}
	}
	r.p /= sum
	token := r.at.tokens[best]
	r.at = r.at.children[best]
	if r.at.answer < 0 { // the end needs no decoding: nothing is chosen after it
		r.pending = append(append(r.pending[:0], token), r.at.forced...)
	}
}

// insert keeps the best of a short list, best first; equals in the order of their number.
func insert(list []Choice, c Choice, most int) []Choice {
	at := len(list)
	for at > 0 && (list[at-1].P < c.P || list[at-1].P == c.P && list[at-1].Answer > c.Answer) {
		at--
	}
	if at == most {
		return list
	}
	list = slices.Insert(list, at, c)
	return list[:min(len(list), most)]
}

// answer rounds the finished request's probabilities. It is not firm when noise could change it.
func (r *request) answer(noise float64) (a Answer, firm bool) {
	firm = !r.unsure
	round := func(p float64) float64 {
		exact := p * 1000
		if noise <= roundable && math.Abs(exact-math.Floor(exact)-0.5) <= 2*noise*exact {
			firm = false
		}
		return math.Round(exact) / 1000
	}
	a = append(a, Choice{r.at.answer, round(r.p)})
	for _, c := range r.others {
		if p := round(c.P); p > 0 {
			a = append(a, Choice{c.Answer, p})
		}
	}
	slices.SortFunc(a[1:], func(x, y Choice) int { return cmp.Or(cmp.Compare(y.P, x.P), cmp.Compare(x.Answer, y.Answer)) })
	return a[:min(len(a), choices)], firm
}
