package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// target is something that answers requests over HTTP.
type target struct {
	client *fasthttp.HostClient
	path   string
	bodies [][]byte
	check  func(status int, body []byte) error
	next   atomic.Int64
}

func newTarget(address, path string, bodies [][]byte, check func(int, []byte) error) *target {
	return &target{path: path, bodies: bodies, check: check, client: &fasthttp.HostClient{
		Addr: address, MaxConns: 4096, ReadTimeout: time.Minute, WriteTimeout: time.Minute, NoDefaultUserAgentHeader: true,
	}}
}

// sample is one request's fate.
type sample struct {
	status  int
	latency time.Duration
	err     error
	retry   bool // it had a Retry-After
}

// one sends the next request; its latency counts from start, so that waiting to be sent counts too.
func (t *target) one(start time.Time) (s sample) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + t.client.Addr + t.path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetBodyRaw(t.bodies[int(t.next.Add(1))%len(t.bodies)])
	s.err = t.client.Do(req, res)
	s.latency = time.Since(start)
	if s.err == nil {
		s.status, s.retry = res.StatusCode(), len(res.Header.Peek("Retry-After")) > 0
		if s.status == 200 && t.next.Load()%64 == 0 { // reading every body would be the client's load, not the server's
			s.err = t.check(s.status, res.Body())
		}
	}
	return s
}

// closed keeps so many clients busy, each with one request at a time.
func (t *target) closed(clients int, each time.Duration) result {
	var wg sync.WaitGroup
	all := make([][]sample, clients)
	start := time.Now()
	for i := range clients {
		wg.Go(func() {
			for now := start; now.Sub(start) < each; now = time.Now() {
				all[i] = append(all[i], t.one(now))
			}
		})
	}
	wg.Wait()
	return summarize(slices.Concat(all...), time.Since(start))
}

// open sends requests at a rate, whether or not the ones before were answered.
func (t *target) open(rate float64, each time.Duration) result {
	samples := make([]sample, int(rate*each.Seconds()))
	var wg sync.WaitGroup
	start := time.Now()
	for i := range samples {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > time.Millisecond { // shorter waits are not worth a timer; bursts of a millisecond result
			time.Sleep(wait)
		}
		wg.Go(func() { samples[i] = t.one(due) })
	}
	wg.Wait()
	return summarize(samples, max(each, time.Since(start)))
}

// result is what a measurement came to.
type result struct {
	good     float64 // answers per second within the limit
	p50, p95 time.Duration
	errors   int // neither answered nor refused
	refused  int
	refusals time.Duration // 95th percentile of the time to a refusal
	noRetry  int           // refusals without Retry-After
	first    error
}

func summarize(samples []sample, took time.Duration) (r result) {
	var answered, refused []time.Duration
	good := 0
	for _, s := range samples {
		switch {
		case s.err == nil && s.status == 200:
			answered = append(answered, s.latency)
			if s.latency < limit {
				good++
			}
		case s.err == nil && s.status == fasthttp.StatusTooManyRequests:
			refused = append(refused, s.latency)
			if !s.retry {
				r.noRetry++
			}
		default:
			r.errors++
			r.first = cmp.Or(r.first, s.err, fmt.Errorf("status %d", s.status))
		}
	}
	r.good = float64(good) / took.Seconds()
	r.refused = len(refused)
	r.p50, r.p95, r.refusals = percentile(answered, 50), percentile(answered, 95), percentile(refused, 95)
	return r
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*p/100)]
}

func (r result) String() string {
	s := fmt.Sprintf("%8.0f good/s  p50 %7.1f ms  p95 %7.1f ms", r.good, millis(r.p50), millis(r.p95))
	if r.refused > 0 {
		s += fmt.Sprintf("  refused %d (p95 %.1f ms, %d without Retry-After)", r.refused, millis(r.refusals), r.noRetry)
	}
	if r.errors > 0 {
		s += fmt.Sprintf("  ERRORS %d: %v", r.errors, r.first)
	}
	return s
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
