package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/sourcegraph/conc/panics"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// answer is what an attempt ended with.
type answer struct {
	out  wire.Output
	err  *detect.Failure
	took time.Duration // 0 if it is late
}

// attempt is one question to a detector.
type attempt struct {
	ctx    context.Context // ends with its timeout, with the request, or by cancel
	cancel context.CancelFunc
	whole  context.Context // the request's
	own    bool            // its timeout comes before the request's deadline
	fair   time.Duration   // as in Call
	key    *key
	began  time.Time
	came   chan answer
	report func(error) // to the breaker; nil if there is none
}

func failed(status api.DetectorStatus, reason string) *detect.Failure {
	return &detect.Failure{Status: status, Reason: reason}
}

// start starts an attempt, if its key lets it. It waits a little for a place in the bulkhead, but not for a second one.
func (p *Pool) start(ctx context.Context, k *key, c Call, in detect.Input, wait time.Duration) (*attempt, *detect.Failure) {
	switch {
	case ctx.Err() != nil:
		return nil, unstarted(ctx)
	case k.left():
		return nil, failed(api.StatusRateLimited, ReasonNotYet)
	case k.breaker != nil && k.breaker.State() == gobreaker.StateOpen:
		return nil, failed(api.StatusCircuitOpen, ReasonOpen)
	}
	if f := enter(ctx, k, wait); f != nil {
		return nil, f
	}
	a := &attempt{key: k, came: make(chan answer, 1), whole: ctx, fair: c.Fair}
	if k.breaker != nil {
		done, err := k.breaker.Allow()
		if err != nil {
			<-k.slots
			return nil, failed(api.StatusCircuitOpen, ReasonOpen)
		}
		a.report = done
	}
	if !p.work.begin() {
		<-k.slots
		a.tell(context.Canceled)
		return nil, failed(api.StatusError, ReasonClosed)
	}
	a.limit(c.Timeout)
	p.keys.again(k)
	go func() {
		defer p.work.end()
		defer p.keys.put(k)
		defer func() { <-k.slots }()
		var got answer
		if panics.Try(func() { got = a.said(c.Source.Ask(a.ctx, in)) }) != nil {
			got = answer{err: failed(api.StatusError, ReasonPanic)}
		}
		got.took = time.Since(a.began)
		a.came <- got
	}()
	return a, nil
}

// enter takes a place in a key's bulkhead.
func enter(ctx context.Context, k *key, wait time.Duration) *detect.Failure {
	select {
	case k.slots <- struct{}{}:
		return nil
	default:
	}
	if wait <= 0 {
		return failed(api.StatusBusy, ReasonBusy)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case k.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return failed(api.StatusBusy, ReasonBusy)
	case <-ctx.Done():
		return unstarted(ctx)
	}
}

// unstarted says why there was no attempt, as ctx is over.
func unstarted(ctx context.Context) *detect.Failure {
	if errors.Is(ctx.Err(), context.Canceled) {
		return failed(api.StatusCancelled, ReasonLeftOff)
	}
	return failed(api.StatusBudget, ReasonDeadline)
}

// limit starts an attempt's time; 0 is what the request has.
func (a *attempt) limit(timeout time.Duration) {
	a.began = time.Now()
	if timeout <= 0 {
		a.ctx, a.cancel = context.WithCancel(a.whole)
		return
	}
	a.ctx, a.cancel = context.WithTimeout(a.whole, timeout)
	until, ok := a.whole.Deadline()
	a.own = !ok || a.began.Add(timeout).Before(until)
}

// said makes an answer of what a detector returned. One that looks at its deadline may see the end of it before ctx does.
func (a *attempt) said(out wire.Output, err error) answer {
	var f *detect.Failure
	switch {
	case err == nil:
		return answer{out: out}
	case errors.As(err, &f):
		return answer{err: f}
	case errors.Is(err, context.DeadlineExceeded), a.ctx.Err() != nil && errors.Is(err, context.Canceled):
		return answer{err: a.late()}
	}
	return answer{err: failed(api.StatusError, ReasonError)}
}

// late says why there is no answer of an attempt whose time is over.
func (a *attempt) late() *detect.Failure {
	switch {
	case errors.Is(a.whole.Err(), context.Canceled), errors.Is(a.ctx.Err(), context.Canceled):
		return &detect.Failure{Status: api.StatusCancelled, Reason: ReasonLeftOff, Err: context.Canceled}
	case a.own:
		return &detect.Failure{Status: api.StatusTimeout, Reason: ReasonTimeout, Retry: true}
	}
	f := &detect.Failure{Status: api.StatusTimeout, Reason: ReasonDeadline}
	if !a.blamed() {
		f.Err = context.DeadlineExceeded
	}
	return f
}

// blamed says whether a deadline counts against the detector: the attempt had its fair share of time, and as much as
// answers mostly take. A caller that is in a rush must not keep others from the detector.
func (a *attempt) blamed() bool {
	slow, _ := a.key.slow()
	return a.fair > 0 && time.Since(a.began) >= max(a.fair, slow)
}

// over returns the answer of an attempt whose time is over: one that came at the last moment counts.
func (a *attempt) over() answer {
	select {
	case got := <-a.came:
		return got
	default:
		return answer{err: a.late()}
	}
}

// wait waits for an attempt's answer.
func (a *attempt) wait() answer {
	select {
	case got := <-a.came:
		return got
	case <-a.ctx.Done():
		return a.over()
	}
}

// settle ends an attempt that has its answer: the breaker hears of it, and whoever else asks.
func (a *attempt) settle(got answer) {
	a.cancel()
	if got.err == nil {
		a.key.answered(time.Since(a.began))
		a.tell(nil)
		return
	}
	if got.err.RetryAfter > 0 {
		a.key.leave(got.err.RetryAfter)
	}
	a.tell(got.err)
}

// drop ends an attempt whose answer nobody needs any more.
func (a *attempt) drop() {
	a.cancel()
	a.tell(context.Canceled)
}

func (a *attempt) tell(err error) {
	if a.report != nil {
		a.report(err)
	}
}

// neutral says whether an error says nothing about a detector's health: we gave up, it has had enough of us, or it does
// not want this content.
func neutral(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var f *detect.Failure
	if !errors.As(err, &f) {
		return false
	}
	switch f.Status {
	case api.StatusRateLimited, api.StatusUnsupported, api.StatusCancelled:
		return true
	}
	return f.Reason == "4xx" || f.Reason == "busy"
}
