package fanout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
)

// lags is slow once in so many times.
func lags(every int) script {
	return func(ctx context.Context, n int, in detect.Input) error {
		if n%every == 0 {
			return takes(400*time.Millisecond)(ctx, n, in)
		}
		return takes(10*time.Millisecond+time.Duration(n*7919%1000)*time.Microsecond)(ctx, n, in)
	}
}

func TestHedge(t *testing.T) {
	with(t, Options{}, func(t *testing.T, p *Pool) {
		c := call(lags(50))
		c.Hedge = true
		hedged := 0
		for range 1000 {
			r := p.within(t, time.Second, c)[0]
			if r.Status != api.StatusOK || r.Hedged != (r.Attempts == 2) || r.Hedged && r.Took > 22*time.Millisecond {
				t.Fatalf("%+v", r)
			}
			if r.Hedged {
				hedged++
			}
		}
		if won := testutil.ToFloat64(p.metrics.hedges.WithLabelValues("won")); hedged < 15 || hedged > 50 || won < 10 {
			t.Errorf("%d hedged, %v won", hedged, won)
		}
	})
}

// Second attempts are at most 5 % of the load, even if all answers become slow; nor are there any where not allowed.
func TestHedgeBudget(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		with(t, Options{}, func(t *testing.T, p *Pool) {
			c := call(func(ctx context.Context, n int, in detect.Input) error {
				return takes(time.Duration(10+n/10)*time.Millisecond)(ctx, n, in)
			})
			c.Hedge = allowed
			for range 1000 {
				p.within(t, time.Second, c)
			}
			if n := c.Source.(*scripted).asked.Load() - 1000; n > 50 || allowed != (n > 30) {
				t.Errorf("allowed %v: %d second attempts", allowed, n)
			}
		})
	}
}

// The first good answer of two counts; if both fail, the first's failure does.
func TestRace(t *testing.T) {
	warm := func(t *testing.T, p *Pool, c Call) {
		ok := c
		ok.Hedge = false
		ok.Source = call(takes(10 * time.Millisecond)).Source
		for range 40 {
			p.within(t, time.Second, ok)
		}
	}
	f := func(name string, status api.DetectorStatus, reason, result string, took time.Duration, first, second script) {
		t.Run(name, func(t *testing.T) {
			with(t, Options{Retries: -1}, func(t *testing.T, p *Pool) {
				c := call(func(ctx context.Context, n int, in detect.Input) error {
					return []script{first, second}[n-1](ctx, n, in)
				})
				c.Hedge = true
				warm(t, p, c)
				r := p.within(t, time.Second, c)[0]
				if r.Status != status || r.Reason != reason || !r.Hedged || r.Took != took {
					t.Errorf("%+v", r)
				}
				if testutil.ToFloat64(p.metrics.hedges.WithLabelValues(result)) != 1 {
					t.Errorf("it is not %s", result)
				}
			})
		})
	}
	after := func(d time.Duration, err error) script {
		return func(ctx context.Context, n int, in detect.Input) error {
			return errors.Join(takes(d)(ctx, n, in), err)
		}
	}
	const ms = time.Millisecond
	f("second wins", api.StatusOK, "", "won", 20*ms, takes(time.Hour), takes(10*ms))
	f("first wins", api.StatusOK, "", "lost", 15*ms, takes(15*ms), takes(time.Hour))
	f("first fails", api.StatusOK, "", "won", 30*ms, after(15*ms, broken), takes(20*ms))
	f("second fails", api.StatusOK, "", "lost", 40*ms, takes(40*ms), after(5*ms, broken))
	f("both fail", api.StatusError, "auth", "failed", 50*ms, after(20*ms, broken), after(40*ms, again))
	f("both fail, the second first", api.StatusError, "auth", "failed", 50*ms, after(50*ms, broken), after(10*ms, again))
	f("both hang", api.StatusTimeout, ReasonTimeout, "failed", 510*ms, ignores(time.Hour), ignores(time.Hour))
}
