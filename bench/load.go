package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// target is something that answers requests over HTTP.
type target struct {
	address  string
	requests [][]byte // as they go over the wire
	check    func(status int, body []byte) error
	next     atomic.Int64

	mu   sync.Mutex
	idle []*connection
}

// connection is kept open between requests. The client shares its cores with the server, so it does nothing
// that it need not: requests are made beforehand, and of a response it reads what it has to.
type connection struct {
	net.Conn
	in   *bufio.Reader
	last bool // the server closes it
}

// newTarget makes requests; header is more lines of each, "" or ending in \r\n.
func newTarget(address, path, header string, bodies [][]byte, check func(int, []byte) error) *target {
	t := &target{address: address, check: check}
	for _, body := range bodies {
		t.requests = append(t.requests, fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", path, address, len(body), header, body))
	}
	return t
}

// exchange sends a request and returns the status, whether there was a Retry-After, and the body.
func (t *target) exchange(raw []byte) (status int, retry bool, body []byte, err error) {
	c, err := t.connect()
	if err != nil {
		return 0, false, nil, err
	}
	defer func() {
		if err != nil || c.last {
			err = errors.Join(err, c.Close())
			return
		}
		t.mu.Lock()
		t.idle = append(t.idle, c)
		t.mu.Unlock()
	}()
	if _, err := c.Write(raw); err != nil {
		return 0, false, nil, err
	}
	return c.response()
}

func (t *target) connect() (*connection, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		c := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return c, nil
	}
	c, err := net.DialTimeout("tcp", t.address, time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, in: bufio.NewReader(c)}, c.SetDeadline(time.Now().Add(10 * time.Minute))
}

func (c *connection) response() (status int, retry bool, body []byte, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, false, nil, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		switch {
		case first:
			if len(line) < 12 {
				return 0, false, nil, errors.New("not an HTTP response")
			}
			status, err = strconv.Atoi(string(line[9:12]))
		case len(name) == 0: // the end of the header
			if length < 0 {
				return 0, false, nil, errors.New("a response without Content-Length")
			}
			body = make([]byte, length)
			_, err = io.ReadFull(c.in, body)
			return status, retry, body, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("Retry-After")):
			retry = true
		case bytes.EqualFold(name, []byte("Connection")):
			c.last = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
		if err != nil {
			return 0, false, nil, err
		}
	}
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
	n := t.next.Add(1)
	var body []byte
	s.status, s.retry, body, s.err = t.exchange(t.requests[int(n)%len(t.requests)])
	s.latency = time.Since(start)
	if s.err == nil && s.status == 200 && n%64 == 0 { // decoding every body would be the client's load, not the server's
		s.err = t.check(s.status, body)
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
		case s.err == nil && s.status == http.StatusTooManyRequests:
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
