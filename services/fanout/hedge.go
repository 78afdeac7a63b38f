package fanout

import (
	"context"
	"time"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// round is one attempt, or two beside each other.
type round struct {
	answer
	attempts int
}

// round asks a detector once. If that takes longer than it mostly does, and a second attempt is allowed, the first good
// answer of the two counts.
func (p *Pool) round(ctx context.Context, k *key, c Call, in detect.Input) round {
	wait := p.options.Wait
	if c.Local {
		wait = 0
	}
	first, f := p.start(ctx, k, c, in, wait)
	if f != nil {
		return round{answer: answer{err: f}}
	}
	timer := p.patience(k, c)
	if timer == nil {
		got := first.wait()
		first.settle(got)
		return round{got, 1}
	}
	defer timer.Stop()
	select {
	case got := <-first.came:
		first.settle(got)
		return round{got, 1}
	case <-first.ctx.Done():
	case <-timer.C:
		if k.spend(&k.hedge) {
			if second, f := p.start(ctx, k, c, in, 0); f == nil {
				return p.race(first, second)
			}
		}
	}
	got := first.wait()
	first.settle(got)
	return round{got, 1}
}

// patience is when to ask a second time; nil is never.
func (p *Pool) patience(k *key, c Call) *time.Timer {
	if !c.Hedge || c.Local {
		return nil
	}
	slow, ok := k.slow()
	if !ok || c.Timeout > 0 && slow >= c.Timeout {
		return nil
	}
	return time.NewTimer(slow)
}

// race waits for the first good answer of two attempts, or for both to fail; then the first's failure counts.
func (p *Pool) race(first, second *attempt) round {
	var lost *answer
	a, b := first, second
	for {
		var got answer
		winner, other := a, b
		select {
		case got = <-came(a):
		case <-ended(a):
			got = a.over()
		case got = <-came(b):
			winner, other = b, a
		case <-ended(b):
			winner, other = b, a
			got = b.over()
		}
		winner.settle(got)
		switch {
		case got.err == nil:
			if other != nil {
				other.drop()
			}
			if other == first { // at least as slow as this
				first.key.answered(time.Since(first.began))
			}
			p.metrics.hedges.WithLabelValues(map[bool]string{true: "won", false: "lost"}[winner == second]).Inc()
			return round{got, 2}
		case other == nil:
			p.metrics.hedges.WithLabelValues("failed").Inc()
			if winner == second {
				got = *lost
			}
			return round{got, 2}
		case winner == first:
			a, lost = nil, &got
		default:
			b = nil
		}
	}
}

// came is where an attempt's answer comes; from none never does.
func came(a *attempt) <-chan answer {
	if a == nil {
		return nil
	}
	return a.came
}

func ended(a *attempt) <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.ctx.Done()
}
