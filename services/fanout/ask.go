package fanout

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/content"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// badness orders statuses: a content has that of its worst chunk.
var badness = []api.DetectorStatus{
	api.StatusOK, api.StatusCancelled, api.StatusBudget, api.StatusRateLimited, api.StatusBusy, api.StatusCircuitOpen, api.StatusTimeout,
	api.StatusUnsupported, api.StatusError,
}

// ask makes a call: of one piece, or of chunks if the content is longer than the detector's window.
func (p *Pool) ask(ctx context.Context, c Call, characters int) Result {
	if !c.Source.Takes(c.Input.Type) {
		return Result{Status: api.StatusUnsupported, Reason: ReasonInput}
	}
	k := p.keys.get(c)
	defer p.keys.put(k)
	window := c.Source.Window()
	if window <= 0 || characters <= window || c.Input.Type == api.ContentImage {
		r := p.persist(ctx, k, c, c.Input)
		if r.Status == api.StatusOK {
			r.Scanned = characters
		}
		return r
	}
	chunks, err := content.Chunks(c.Input.Content, window, overlap(window))
	if err != nil {
		return Result{Status: api.StatusUnsupported, Reason: ReasonChunks}
	}
	parts := make([]Result, len(chunks))
	group := pool.New().WithMaxGoroutines(p.options.Chunks)
	for i, chunk := range chunks {
		group.Go(func() {
			parts[i] = p.persist(ctx, k, c, detect.Input{Content: chunk.Text, Type: c.Input.Type})
		})
	}
	group.Wait()
	return whole(chunks, parts)
}

// overlap is how many code points two chunks share: what is longer may be cut in two.
func overlap(window int) int { return min(window/4, 128) }

// whole makes one result of those of chunks. It is only as good as the worst, but keeps what the others found.
func whole(chunks []content.Chunk, parts []Result) Result {
	all := Result{Status: api.StatusOK}
	var outputs []wire.Output
	end := 0
	for i, r := range parts {
		all.Attempts, all.Hedged = all.Attempts+r.Attempts, all.Hedged || r.Hedged
		if r.Status == api.StatusOK {
			at := chunks[i].Rune
			all.Scanned += at[1] - max(at[0], end)
			end = at[1]
			outputs = append(outputs, content.Rebase(r.Output, chunks[i]))
		} else if slices.Index(badness, r.Status) > slices.Index(badness, all.Status) {
			all.Status, all.Reason = r.Status, r.Reason
		}
	}
	all.Output = content.Merge(outputs)
	return all
}

// persist asks a detector, and again where that may help and there is time and budget for it.
func (p *Pool) persist(ctx context.Context, k *key, c Call, in detect.Input) Result {
	var r Result
	for n := 0; ; n++ {
		round := p.round(ctx, k, c, in)
		if n == 0 && round.attempts > 0 {
			k.counted()
		}
		r.Attempts, r.Hedged = r.Attempts+round.attempts, r.Hedged || round.attempts > 1
		if round.err == nil {
			r.Status, r.Reason, r.Output = api.StatusOK, "", round.out
			return r
		}
		if round.attempts > 0 || n == 0 { // that it may not be asked again is no reason why it failed
			r.Status, r.Reason = round.err.Status, round.err.Reason
		}
		if c.Local || round.attempts == 0 || !round.err.Retry || n >= p.options.Retries {
			return r
		}
		wait := max(p.backoff(n), round.err.RetryAfter)
		if until, ok := ctx.Deadline(); ok && time.Until(until) <= wait || !k.spend(&k.retries) {
			return r
		}
		if !sleep(ctx, wait) {
			return r
		}
		p.metrics.retries.Inc()
	}
}

// backoff is how long to wait before the retry after n of them: anything up to a time that doubles.
func (p *Pool) backoff(n int) time.Duration {
	return rand.N(p.options.Backoff<<n + 1)
}

// sleep says whether ctx outlived a time.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
