package fanout

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// scripted is a detector that does what its script says for the attempt, counted from 1.
type scripted struct {
	script   func(ctx context.Context, n int, in detect.Input) error
	window   int
	asked    atomic.Int64
	together atomic.Int64
	most     atomic.Int64
}

func (*scripted) Name() string                 { return "scripted" }
func (*scripted) Version() string              { return "1" }
func (*scripted) Takes(t api.ContentType) bool { return t != api.ContentImage }
func (*scripted) Covers() []string             { return nil }
func (s *scripted) Window() int                { return s.window }
func (s *scripted) Ask(ctx context.Context, in detect.Input) (wire.Output, error) {
	now := s.together.Add(1)
	defer s.together.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if err := s.script(ctx, int(s.asked.Add(1)), in); err != nil {
		return wire.Output{}, err
	}
	out := wire.Output{Vendor: "own"}
	if i := strings.Index(in.Content, "bad"); i >= 0 {
		score := 0.9
		out.Findings = append(out.Findings, wire.Finding{Native: "BAD", Score: &score, Spans: []wire.Span{{Byte: &[2]int{i, i + 3}, Rune: &[2]int{i, i + 3}}}})
	} else {
		out.Findings = append(out.Findings, wire.Finding{Native: "clean", Clean: true})
	}
	return out, nil
}

type script = func(ctx context.Context, n int, in detect.Input) error

// takes answers after a time, unless ctx ends before.
func takes(d time.Duration) script {
	return func(ctx context.Context, _ int, _ detect.Input) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ignores answers after a time, whatever ctx says.
func ignores(d time.Duration) script {
	return func(context.Context, int, detect.Input) error {
		time.Sleep(d)
		return nil
	}
}

// fails fails n times, then answers.
func fails(times int, err error) script {
	return func(_ context.Context, n int, _ detect.Input) error {
		time.Sleep(time.Millisecond)
		if n <= times {
			return err
		}
		return nil
	}
}

var (
	again  = &detect.Failure{Status: api.StatusError, Reason: "5xx", Retry: true}
	broken = &detect.Failure{Status: api.StatusError, Reason: "auth"}
	full   = &detect.Failure{Status: api.StatusRateLimited, Reason: "rate_limited", Retry: true}
)

func wants(after time.Duration) *detect.Failure {
	return &detect.Failure{Status: api.StatusRateLimited, Reason: "rate_limited", Retry: true, RetryAfter: after}
}

func call(s script) Call {
	return Call{Key: "acme/x@1", Source: &scripted{script: s}, Input: detect.Input{Content: "some bad text", Type: api.ContentText}, Timeout: 500 * time.Millisecond}
}

// with runs a test in virtual time with a pool, which has to end with it.
func with(t *testing.T, o Options, test func(t *testing.T, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := New(o, prometheus.NewRegistry())
		test(t, p)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func (p *Pool) within(t *testing.T, d time.Duration, calls ...Call) []Result {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return p.Run(ctx, calls)
}

func TestStatus(t *testing.T) {
	local := func(s script) Call { c := call(s); c.Local = true; return c }
	image := call(takes(0))
	image.Input.Type = api.ContentImage
	for name, c := range map[string]struct {
		call     Call
		status   api.DetectorStatus
		reason   string
		attempts int
		most     time.Duration
	}{
		"answers":            {call(takes(10 * time.Millisecond)), api.StatusOK, "", 1, 10 * time.Millisecond},
		"local":              {local(takes(10 * time.Millisecond)), api.StatusOK, "", 1, 10 * time.Millisecond},
		"slow":               {call(takes(time.Minute)), api.StatusTimeout, ReasonDeadline, 2, time.Second},
		"ignores ctx":        {call(ignores(time.Minute)), api.StatusTimeout, ReasonDeadline, 2, time.Second},
		"local, ignores ctx": {local(ignores(time.Minute)), api.StatusTimeout, ReasonTimeout, 1, 500 * time.Millisecond},
		"fails once":         {call(fails(1, again)), api.StatusOK, "", 2, 52 * time.Millisecond},
		"fails twice":        {call(fails(2, again)), api.StatusOK, "", 3, 153 * time.Millisecond},
		"fails for good":     {call(fails(9, again)), api.StatusError, "5xx", 3, 153 * time.Millisecond},
		"is not asked again": {call(fails(1, broken)), api.StatusError, "auth", 1, time.Millisecond},
		"local, fails":       {local(fails(1, again)), api.StatusError, "5xx", 1, time.Millisecond},
		"breaks contract":    {call(fails(1, errors.New("some bad text"))), api.StatusError, ReasonError, 1, time.Millisecond},
		"full":               {call(fails(1, full)), api.StatusOK, "", 2, 52 * time.Millisecond},
		"full for a while":   {call(fails(1, wants(300*time.Millisecond))), api.StatusOK, "", 2, 302 * time.Millisecond},
		"full for long":      {call(fails(1, wants(2*time.Second))), api.StatusRateLimited, "rate_limited", 1, time.Millisecond},
		"panics":             {call(func(context.Context, int, detect.Input) error { panic("some bad text") }), api.StatusError, ReasonPanic, 1, 0},
		"local, panics":      {local(func(context.Context, int, detect.Input) error { panic("some bad text") }), api.StatusError, ReasonPanic, 1, 0},
		"image":              {image, api.StatusUnsupported, ReasonInput, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, Options{}, func(t *testing.T, p *Pool) {
				other := call(takes(time.Millisecond))
				other.Key = "acme/other@1"
				results := p.within(t, time.Second, c.call, other)
				r := results[0]
				if r.Status != c.status || r.Reason != c.reason || r.Attempts != c.attempts || r.Took > c.most {
					t.Errorf("%+v", r)
				}
				if ok := r.Status == api.StatusOK; ok != (r.Scanned == 13) || ok != (len(r.Output.Findings) == 1) {
					t.Errorf("%+v", r)
				}
				if results[1].Status != api.StatusOK {
					t.Errorf("the other one: %+v", results[1])
				}
			})
		})
	}
}

// Run is back when its context ends, and says why there is no answer.
func TestDeadline(t *testing.T) {
	with(t, Options{}, func(t *testing.T, p *Pool) {
		began := time.Now()
		calls := []Call{call(takes(0)), call(ignores(time.Hour)), call(takes(time.Hour)), call(ignores(time.Hour))}
		calls[3].Local = true
		for i := range calls {
			calls[i].Key, calls[i].Timeout = string(rune('a'+i)), 0
		}
		results := p.within(t, 100*time.Millisecond, calls...)
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for _, r := range results[1:] {
			if r.Status != api.StatusTimeout || r.Reason != ReasonDeadline {
				t.Errorf("%+v", r)
			}
		}
		if results[0].Status != api.StatusOK {
			t.Errorf("%+v", results[0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if p.Close(ctx) == nil {
			t.Error("it is closed while attempts run")
		}
		if r := p.within(t, time.Second, call(takes(0)))[0]; r.Reason != ReasonClosed {
			t.Errorf("%+v", r)
		}
	})
}

func TestOver(t *testing.T) {
	with(t, Options{}, func(t *testing.T, p *Pool) {
		c := call(takes(time.Hour))
		if r := p.within(t, 0, c)[0]; r.Status != api.StatusBudget || r.Attempts != 0 {
			t.Errorf("%+v", r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if r := p.Run(ctx, []Call{c})[0]; r.Status != api.StatusCancelled || r.Attempts != 1 {
			t.Errorf("%+v", r)
		}
		if r := p.Run(ctx, []Call{c})[0]; r.Status != api.StatusCancelled || r.Attempts != 0 {
			t.Errorf("%+v", r)
		}
		if len(p.Run(ctx, nil)) != 0 {
			t.Error("results of nothing")
		}
	})
}

// While a detector asks to be left alone nobody asks it, nor does anybody wait.
func TestRetryAfter(t *testing.T) {
	with(t, Options{}, func(t *testing.T, p *Pool) {
		c := call(fails(1, wants(2*time.Second)))
		p.within(t, time.Second, c)
		time.Sleep(1900 * time.Millisecond)
		if r := p.within(t, time.Second, c)[0]; r.Status != api.StatusRateLimited || r.Reason != ReasonNotYet || r.Attempts != 0 || r.Took != 0 {
			t.Errorf("%+v", r)
		}
		time.Sleep(200 * time.Millisecond)
		if r := p.within(t, time.Second, c)[0]; r.Status != api.StatusOK {
			t.Errorf("%+v", r)
		}
	})
}

func TestBreaker(t *testing.T) {
	with(t, Options{Retries: -1}, func(t *testing.T, p *Pool) {
		fail := true
		c := call(func(context.Context, int, detect.Input) error {
			if fail {
				return again
			}
			return nil
		})
		ask := func(want api.DetectorStatus) {
			t.Helper()
			if r := p.within(t, time.Second, c)[0]; r.Status != want {
				t.Errorf("%+v, want %s", r, want)
			}
		}
		for range 5 {
			ask(api.StatusError)
		}
		ask(api.StatusCircuitOpen)
		if open := testutil.ToFloat64(p.metrics.open); open != 1 {
			t.Errorf("%v are open", open)
		}
		time.Sleep(61 * time.Second)
		ask(api.StatusError) // on trial
		ask(api.StatusCircuitOpen)
		time.Sleep(61 * time.Second)
		fail = false
		for range 3 {
			ask(api.StatusOK)
		}
		fail = true
		for range 4 {
			ask(api.StatusError)
		}
		fail = false
		ask(api.StatusOK)
		if open := testutil.ToFloat64(p.metrics.open); open != 0 {
			t.Errorf("%v are open", open)
		}
	})
}

// What is not a detector's fault does not open its breaker, and what is does.
func TestBreakerCounts(t *testing.T) {
	late := call(takes(time.Hour))
	short := late
	short.Timeout = time.Hour
	hangs, rush, slow := short, short, short
	hangs.Fair, rush.Fair, slow.Fair = 900*time.Millisecond, 1100*time.Millisecond, 900*time.Millisecond
	slow.Source = call(takes(1100 * time.Millisecond)).Source // which one has waited for before
	for name, c := range map[string]struct {
		call Call
		open bool
	}{
		"it is late":       {late, true},
		"no share is said": {short, false},
		"it had its share": {hangs, true},
		"we are in a rush": {rush, false},
		"it needs longer":  {slow, false},
		"it is full":       {call(fails(99, full)), false},
		"it panics":        {call(func(context.Context, int, detect.Input) error { panic(1) }), true},
		"not this content": {call(fails(99, &detect.Failure{Status: api.StatusError, Reason: "4xx"})), false},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, Options{Retries: -1}, func(t *testing.T, p *Pool) {
				p.within(t, 2*time.Second, c.call)
				for range 6 {
					p.within(t, time.Second, c.call)
				}
				if open := testutil.ToFloat64(p.metrics.open) == 1; open != c.open {
					t.Errorf("open: %v", open)
				}
			})
		})
	}
}

// A detector has at most as many attempts as its bulkhead has places, also when they outlive their requests.
func TestBulkhead(t *testing.T) {
	with(t, Options{AtOnce: 2, Retries: -1}, func(t *testing.T, p *Pool) {
		c := call(ignores(time.Minute))
		c.Timeout = 10 * time.Millisecond
		p.within(t, time.Second, c, c)
		if r := p.within(t, time.Second, c)[0]; r.Status != api.StatusBusy || r.Took != 20*time.Millisecond {
			t.Errorf("%+v", r)
		}
		other := c
		other.Key = "acme/y@1"
		other.Source = call(takes(0)).Source
		if r := p.within(t, time.Second, other)[0]; r.Status != api.StatusOK {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Minute)
		c.Source = call(takes(0)).Source
		if r := p.within(t, time.Second, c)[0]; r.Status != api.StatusOK {
			t.Errorf("%+v", r)
		}
	})
}

// Retries are a tenth of the requests, and a few more.
func TestRetryBudget(t *testing.T) {
	with(t, Options{Failures: 1 << 30}, func(t *testing.T, p *Pool) {
		c := call(fails(1<<30, again))
		for range 1000 {
			p.within(t, time.Second, c)
		}
		if n := c.Source.(*scripted).asked.Load() - 1000; n < 95 || n > 105 {
			t.Errorf("%d retries", n)
		}
	})
}

func TestChunked(t *testing.T) {
	text := strings.Repeat("all is good here. ", 20) + "but bad here. " + strings.Repeat("é is good here too. ", 20)
	f := func(name string, want Result, s script) {
		t.Run(name, func(t *testing.T) {
			with(t, Options{Retries: -1}, func(t *testing.T, p *Pool) {
				c := call(s)
				c.Input.Content = text
				source := c.Source.(*scripted)
				source.window = 100
				r := p.within(t, time.Second, c)[0]
				if r.Status != want.Status || r.Reason != want.Reason || r.Attempts != int(source.asked.Load()) || want.Status == api.StatusOK && source.most.Load() != 4 {
					t.Errorf("%+v", r)
				}
				if full := r.Scanned == len([]rune(text)); full != (want.Status == api.StatusOK) || r.Scanned == 0 {
					t.Errorf("%d scanned", r.Scanned)
				}
				if n := len(r.Output.Findings); n != 1 || r.Output.Findings[0].Native != "BAD" {
					t.Fatalf("%+v", r.Output)
				}
				if at := *r.Output.Findings[0].Spans[0].Byte; len(r.Output.Findings[0].Spans) != 1 || text[at[0]:at[1]] != "bad" {
					t.Errorf("%v", at)
				}
			})
		})
	}
	f("all", Result{Status: api.StatusOK}, takes(time.Millisecond))
	f("one fails", Result{Status: api.StatusError, Reason: "auth"}, func(_ context.Context, _ int, in detect.Input) error {
		if strings.HasPrefix(in.Content, "all") && !strings.Contains(in.Content, "bad") {
			return broken
		}
		return nil
	})
	f("one hangs", Result{Status: api.StatusTimeout, Reason: ReasonTimeout}, func(ctx context.Context, n int, in detect.Input) error {
		if strings.HasSuffix(strings.TrimSpace(in.Content), "too.") && !strings.Contains(in.Content, "bad") {
			return takes(time.Hour)(ctx, n, in)
		}
		return nil
	})
	with(t, Options{}, func(t *testing.T, p *Pool) {
		c := call(takes(0))
		c.Input.Content = text
		c.Source.(*scripted).window = 1
		if r := p.within(t, time.Second, c)[0]; r.Status != api.StatusUnsupported || r.Reason != ReasonChunks {
			t.Errorf("%+v", r)
		}
	})
}

// Tenants and their detectors are in no metric.
func TestMetrics(t *testing.T) {
	with(t, Options{}, func(t *testing.T, p *Pool) {
		local := call(takes(0))
		local.Local, local.Key = true, "builtin:scripted"
		p.within(t, time.Second, call(takes(0)), local, call(fails(1, again)))
		want := `# HELP detector_requests_total Contents by detector and what became of them.
# TYPE detector_requests_total counter
detector_requests_total{detector="remote",status="ok"} 2
detector_requests_total{detector="scripted",status="ok"} 1
`
		if err := testutil.CollectAndCompare(p.metrics.requests, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		if n := testutil.ToFloat64(p.metrics.retries); n != 1 {
			t.Errorf("%v retries", n)
		}
	})
}

// Many requests at once keep to every bound, and leave nothing behind.
func TestTogether(t *testing.T) {
	with(t, Options{AtOnce: 8, Keys: 4}, func(t *testing.T, p *Pool) {
		var sources []*scripted
		var calls []Call
		for i, s := range []script{lags(7), fails(50, again), ignores(300 * time.Millisecond), fails(3, wants(time.Second)), lags(3), takes(time.Hour)} {
			c := call(s)
			c.Key, c.Hedge, c.Timeout = string(rune('a'+i)), true, 100*time.Millisecond
			calls, sources = append(calls, c), append(sources, c.Source.(*scripted))
		}
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
				began := time.Now()
				results := p.within(t, 250*time.Millisecond, calls...)
				if time.Since(began) > 250*time.Millisecond || slices.ContainsFunc(results, func(r Result) bool { return r.Status == "" }) {
					t.Errorf("%+v", results)
				}
			})
		}
		all.Wait()
		for i, s := range sources {
			if s.most.Load() > 8 {
				t.Errorf("%d had %d attempts at once", i, s.most.Load())
			}
		}
	})
}

func BenchmarkLocal(b *testing.B) {
	p := New(Options{}, prometheus.NewRegistry())
	var calls []Call
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		c := call(func(context.Context, int, detect.Input) error { return nil })
		c.Key, c.Local = name, true
		calls = append(calls, c)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		p.Run(ctx, calls)
	}
}
