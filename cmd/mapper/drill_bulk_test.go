//go:build llama && drill

package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
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
