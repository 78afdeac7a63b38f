// Package fanout runs detectors over one content beside each other under one deadline, each apart from the others: what
// one does, fail, hang or panic, is in its own result. It is the one place that retries, hedges and gives up on
// detectors that fail.
package fanout

import (
	"cmp"
	"context"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Call is one detector to be run over one content.
type Call struct {
	Key     string // whose breaker, bulkhead and times it shares: tenant/name@version, or builtin:name
	Source  detect.Source
	Input   detect.Input
	Timeout time.Duration // of one attempt; 0 is what the deadline leaves
	Fair    time.Duration // that an attempt cut off by the deadline must have had to count against the detector; 0: it never does
	Hedge   bool          // a second attempt may run beside a slow first one
	Local   bool          // built in: no breaker, no retry, no second attempt
}

// The reasons of results, beside those of a detector's failures.
const (
	ReasonPanic    = "panic"
	ReasonTimeout  = "timeout"     // the attempt had its time
	ReasonDeadline = "deadline"    // the request had its time
	ReasonLeftOff  = "cancelled"   // nobody waits for the answer
	ReasonOpen     = "open"        // it failed too often lately
	ReasonBusy     = "bulkhead"    // as many attempts as it may have are running
	ReasonNotYet   = "retry_after" // it asked to be left alone
	ReasonInput    = "content_type"
	ReasonChunks   = "chunks" // the content is too long for its window
	ReasonError    = "error"  // it broke its contract
	ReasonClosed   = "closed" // the pool is
)

// Result is what became of a call.
type Result struct {
	Status   api.DetectorStatus
	Reason   string      // of a closed set; "" with StatusOK
	Output   wire.Output // of what was looked at, also where the status is not StatusOK
	Attempts int
	Hedged   bool // whether a second attempt ran beside a first one
	Took     time.Duration
	Scanned  int // code points that an answer is about
}

// Options are limits; what is 0 has its default.
type Options struct {
	AtOnce   int           // attempts of a remote key at once: 64
	Wait     time.Duration // for one of them to end: 20 ms
	Failures int           // in a row that open a breaker: 5
	Open     time.Duration // how long it stays open: 60 s
	Trials   int           // that have to succeed then: 3
	Retries  int           // of one content or chunk: 2; -1 is none
	Backoff  time.Duration // at most before the first retry, twice as much before the next: 50 ms
	Chunks   int           // of a content at once: 4
	Keys     int           // whose state is kept: 10,000
}

// Shares of a key's requests that may come on top of them.
const (
	retryShare = 0.1
	hedgeShare = 0.05
	burst      = 5 // that may be saved up
)

// localAtOnce bounds the attempts of a built-in detector at once: more of them hang.
const localAtOnce = 1024

// Pool runs detectors. Its methods may be called from any goroutine.
type Pool struct {
	options Options
	metrics metrics
	keys    *keys
	work    work
}

// New makes a pool; metrics go to reg.
func New(o Options, reg prometheus.Registerer) *Pool {
	o.AtOnce, o.Wait = cmp.Or(o.AtOnce, 64), cmp.Or(o.Wait, 20*time.Millisecond)
	o.Failures, o.Open, o.Trials = cmp.Or(o.Failures, 5), cmp.Or(o.Open, time.Minute), cmp.Or(o.Trials, 3)
	o.Retries, o.Backoff = cmp.Or(o.Retries, 2), cmp.Or(o.Backoff, 50*time.Millisecond)
	o.Chunks, o.Keys = cmp.Or(o.Chunks, 4), cmp.Or(o.Keys, 10_000)
	p := &Pool{options: o, metrics: newMetrics(reg)}
	p.work.idle = make(chan struct{})
	p.keys = newKeys(o, p.metrics.open)
	return p
}

// Run makes calls and returns their results in the calls' order when all have one, at the latest when ctx ends. An
// attempt that goes on after that keeps its place in its key's bulkhead until it ends.
func (p *Pool) Run(ctx context.Context, calls []Call) []Result {
	out, local := make([]Result, len(calls)), make([]func() Result, len(calls))
	var group conc.WaitGroup
	characters := 0
	for i, c := range calls {
		if i == 0 || c.Input.Content != calls[i-1].Input.Content {
			characters = utf8.RuneCountInString(c.Input.Content)
		}
		if c.Local && c.Source.Window() <= 0 {
			local[i] = p.local(ctx, c, characters)
			continue
		}
		group.Go(func() { out[i] = p.one(ctx, c, characters) })
	}
	for i, result := range local {
		if result != nil {
			out[i] = result()
			p.metrics.called(calls[i], out[i])
		}
	}
	group.Wait()
	return out
}

// Expect is how long a call over so many code points takes at most, 95 times of 100; 0 if too little is known.
func (p *Pool) Expect(c Call, characters int) time.Duration {
	k := p.keys.get(c)
	defer p.keys.put(k)
	slow, enough := k.slow()
	if !enough {
		return 0
	}
	if window := c.Source.Window(); window > 0 && c.Input.Type != api.ContentImage {
		step := window - overlap(window)
		chunks := max(1, (characters-overlap(window)+step-1)/step)
		slow *= time.Duration((chunks + p.options.Chunks - 1) / p.options.Chunks)
	}
	return slow
}

// one makes one call.
func (p *Pool) one(ctx context.Context, c Call, characters int) (r Result) {
	began := time.Now()
	if panics.Try(func() { r = p.ask(ctx, c, characters) }) != nil {
		r = Result{Status: api.StatusError, Reason: ReasonPanic}
	}
	r.Took = time.Since(began)
	p.metrics.called(c, r)
	return r
}

// local starts a built-in detector, and returns what waits for its result.
func (p *Pool) local(ctx context.Context, c Call, characters int) func() Result {
	if !c.Source.Takes(c.Input.Type) {
		return func() Result { return Result{Status: api.StatusUnsupported, Reason: ReasonInput} }
	}
	k := p.keys.get(c)
	defer p.keys.put(k) // the attempt keeps it in use
	a, f := p.start(ctx, k, c, c.Input, 0)
	return func() Result {
		if f != nil {
			return Result{Status: f.Status, Reason: f.Reason}
		}
		got := a.wait()
		a.cancel()
		r := Result{Status: api.StatusOK, Output: got.out, Attempts: 1, Took: cmp.Or(got.took, time.Since(a.began)), Scanned: characters}
		if got.err != nil {
			r.Status, r.Reason, r.Scanned = got.err.Status, got.err.Reason, 0
		}
		return r
	}
}

// Close lets no attempt start any more, and waits for those that run; at the latest until ctx ends.
func (p *Pool) Close(ctx context.Context) error {
	select {
	case <-p.work.close():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
