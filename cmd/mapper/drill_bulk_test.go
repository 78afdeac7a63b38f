//go:build llama && drill

package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// A job of a million lines, of 10,000 pairs in random order, with two replicas, one of which is killed midway.
func TestDrillKillJob(t *testing.T) {
	const lines, distinct = api.MaxJobLines, 10_000
	d := newDrill(t)
	shareMaster(t)
	order := rand.New(rand.NewPCG(1, 2))
	which := make([]int, lines)
	for i := range which {
		which[i] = order.IntN(distinct)
	}
	of := func(i int) int { return which[i] }
	other := replica(t, os.Stderr)
	s := other.Service
	j := uploadPairs(t, d.child.Base, d.key, pairs(distinct), which)
	progress := func() api.Job { s.Do(t, "GET", "/api/v1/jobs/"+j.ID, d.key, "", &j); return j }
	killed := int64(0)
	for begin, told := time.Now(), time.Now(); progress().FinishedAt == nil; time.Sleep(200 * time.Millisecond) {
		if j.Done > lines/2 && killed == 0 {
			d.child.Kill()
			killed = j.Done
			t.Logf("killed after %d lines", killed)
		}
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			t.Logf("%d lines, %.0f a second, %v", j.Done, j.Rate, time.Since(begin).Round(time.Second))
		}
		if time.Since(begin) > 25*time.Minute {
			t.Fatalf("not done: %+v", j)
		}
	}
	begin := time.Now()
	sum := check(t, s, d.key, j.ID, lines, of, distinct)
	t.Logf("%+v; %.0f lines a second; result and events read in %v", sum, j.Rate, time.Since(begin).Round(time.Second))
	if sum.mappings+sum.errors != lines || sum.events != sum.mappings || int64(sum.errors) != j.Failed || killed == 0 {
		t.Errorf("%+v, job %+v", sum, j)
	}
}

// uploadPairs sends a job as it is made, compressed.
func uploadPairs(t *testing.T, base, key string, all []string, which []int) (j api.Job) {
	t.Helper()
	in, out := io.Pipe()
	go func() {
		z := gzip.NewWriter(out)
		for _, p := range which {
			if _, err := io.WriteString(z, all[p]+"\n"); err != nil {
				break
			}
		}
		z.Close()
		out.Close()
	}()
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/jobs", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Encoding", "gzip")
	begin := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s %v", res.StatusCode, raw, err)
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		t.Fatal(err)
	}
	t.Logf("uploaded %d lines in %v", j.Lines, time.Since(begin).Round(time.Millisecond))
	return j
}

// What callers wait for their answers before a job runs and beside one, in the process that does both. All requests and
// all lines are for the model, and no two are the same.
func TestDrillBesideJob(t *testing.T) {
	const lines = 20_000
	d := newDrill(t)
	s := d.child.Service
	before := d.callers(t, "before", func(n int) bool { return n < 1000 })
	all, which := make([]string, lines), make([]int, lines)
	for i := range which {
		all[i], which[i] = fmt.Sprintf(`{"detector":"x","output":"weapon %d"}`, i), i
	}
	j := uploadPairs(t, d.child.Base, d.key, all, which)
	begin := time.Now()
	running := func() bool {
		if time.Since(begin) > 25*time.Minute {
			t.Fatalf("not done: %+v", j)
		}
		return s.Do(t, "GET", "/api/v1/jobs/"+j.ID, d.key, "", &j) != 200 || j.FinishedAt == nil
	}
	beside := d.callers(t, "beside", func(n int) bool { return n%50 != 0 || running() })
	t.Logf("before: %v", before)
	t.Logf("beside: %v; the job did %.0f lines a second", beside, j.Rate)
	for _, p := range []int{50, 95, 99} {
		t.Logf("p%d is %.1f times what it was", p, float64(beside.at(p))/float64(before.at(p)))
	}
	sum := check(t, s, d.key, j.ID, lines, func(i int) int { return i }, lines)
	if sum != (tally{mappings: lines, events: lines}) || j.Failed != 0 {
		t.Errorf("%+v, job %+v", sum, j)
	}
}

// waits is what requests took that were answered, in order, and how many were too late.
type waits struct {
	took []time.Duration
	late int
}

func (w *waits) at(percent int) time.Duration { return w.took[(len(w.took)-1)*percent/100] }

// String implements fmt.Stringer.
func (w *waits) String() string {
	us := time.Microsecond
	return fmt.Sprintf("%d answered and %d too late, p50 %v, p95 %v, p99 %v", len(w.took), w.late, w.at(50).Round(us), w.at(95).Round(us), w.at(99).Round(us))
}

// callers ask 50 times a second, whatever the answers take, while more says so of the number of those who have. That an
// answer is late depends on the machine; everything else than an answer is a failure.
func (d *drill) callers(t *testing.T, who string, more func(n int) bool) *waits {
	t.Helper()
	var w waits
	var mu sync.Mutex // guards w
	var asking sync.WaitGroup
	ticks := time.NewTicker(time.Second / 50)
	defer ticks.Stop()
	for n := 0; more(n); n++ {
		<-ticks.C
		asking.Go(func() {
			begin := time.Now()
			var m api.Mapping
			status := d.child.Do(t, "POST", "/api/v1/map", d.key, fmt.Sprintf(`{"detector":"x","output":"%s says weapon %d"}`, who, n), &m)
			took := time.Since(begin)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case status == 200 && len(m.Provenance.Findings) == 1 && m.Provenance.Findings[0].Model != "":
				w.took = append(w.took, took)
			case status == 408:
				w.late++
			default:
				t.Errorf("%d %+v", status, m)
			}
		})
	}
	asking.Wait()
	slices.Sort(w.took)
	if len(w.took) == 0 {
		t.Fatalf("nothing was answered; %d were too late", w.late)
	}
	return &w
}
