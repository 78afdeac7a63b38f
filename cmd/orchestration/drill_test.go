//go:build drill

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/orchestration"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
	"github.com/llama-mapper/llama-mapper/services/remote/remotetest"
)

const (
	faultRequests = 20_000
	faultClients  = 32
	faultDeadline = 500 * time.Millisecond
	canary        = "canary-5b1d"
)

// faults is what the drill has seen, by mode.
type faults struct {
	mu    sync.Mutex
	took  map[string][]time.Duration
	seen  map[string]map[string]int // decision and status
	wrong atomic.Int64
	ids   map[string]bool
}

// TestDrillFaults asks 20,000 times with a detector that fails in one of twelve ways, half of them with breakers that do
// not open: answers come within the deadline, decide as the policy says, are all on record, and leave nothing behind.
func TestDrillFaults(t *testing.T) {
	k := processtest.Key(t, processtest.Store(t), "me", "admin")
	detectors, err := remotetest.New("bomb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(detectors.Close)
	t.Setenv(config.Prefix+"MAPPER_URL", processtest.Serve(t, "mapper", tablesOnly).Base)
	f := &faults{took: map[string][]time.Duration{}, seen: map[string]map[string]int{}, ids: map[string]bool{}}
	before := runtime.NumGoroutine()
	for _, breakers := range []fanout.Options{{}, {Failures: 1 << 30}} {
		limits = breakers
		t.Run(fmt.Sprintf("breakers=%t", breakers.Failures == 0), func(t *testing.T) { f.half(t, k, detectors) })
	}
	limits = fanout.Options{}
	f.report(t)
	if n := f.wrong.Load(); n > 0 {
		t.Errorf("%d answers were not as declared", n)
	}
	if len(f.ids) != faultRequests {
		t.Errorf("%d receipts", len(f.ids))
	}
	processtest.Until(t, "as few goroutines as before", func() bool {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		return runtime.NumGoroutine() <= before+10
	})
}

// half asks half of the requests.
func (f *faults) half(t *testing.T, k string, detectors *remotetest.Server) {
	logs, stderr := stderrOf(t)
	s := processtest.Serve(t, "orchestration", build)
	for _, mode := range remotetest.Modes {
		spec := fmt.Sprintf(`{"name":"d-%s","kind":"fms","url":%q,"covers":["HARM"]}`, mode, detectors.URL(mode))
		rules := fmt.Sprintf("name: p-%s\ndeadline_ms: %d\ndetectors: {d-%s: {mode: required, on_error: block, timeout_ms: 200}}\nrules: [{labels: ['*'], action: review}]\nunmapped: review\n", mode, faultDeadline.Milliseconds(), mode)
		for path, body := range map[string]string{"/api/v1/detectors": spec, "/api/v1/policies": rules} {
			var said any
			if status := s.Do(t, http.MethodPost, path, k, body, &said); status != http.StatusOK && status != http.StatusCreated && status != http.StatusConflict {
				t.Fatalf("%s: %d %v", path, status, said)
			}
		}
	}
	processtest.Until(t, "following", func() bool {
		return s.Do(t, http.MethodPost, "/api/v1/orchestrate", k, `{"content":"x","policy_bundle":"p-closed"}`, nil) != http.StatusNotFound
	})
	var next atomic.Int64
	var clients sync.WaitGroup
	for range faultClients {
		clients.Go(func() {
			for i := next.Add(1); i <= faultRequests/2; i = next.Add(1) {
				f.one(t, s, k, remotetest.Modes[int(i)%len(remotetest.Modes)])
			}
		})
	}
	clients.Wait()
	os.Stderr = stderr
	if text, err := io.ReadAll(logs()); err != nil || strings.Contains(string(text), canary) {
		t.Errorf("content is in the log: %v", err)
	}
}

// stderrOf takes what the services log away from the terminal.
func stderrOf(t *testing.T) (read func() io.Reader, before *os.File) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	before = os.Stderr
	os.Stderr = file
	return func() io.Reader {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		return file
	}, before
}

// one asks once and holds the answer to what the policy declares.
func (f *faults) one(t *testing.T, s processtest.Service, k, mode string) {
	began := time.Now()
	var a orchestration.Answer
	status := s.Do(t, http.MethodPost, "/api/v1/orchestrate", k, fmt.Sprintf(`{"content":"bomb %s","policy_bundle":"p-%s","priority":"critical"}`, canary, mode), &a)
	took := time.Since(began)
	at := slices.IndexFunc(a.Detectors, func(d orchestration.DetectorResult) bool { return d.Detector == "d-"+mode })
	f.mu.Lock()
	defer f.mu.Unlock()
	if at < 0 {
		f.wrong.Add(1)
		t.Errorf("%s: %d %+v", mode, status, a)
		return
	}
	d := a.Detectors[at]
	f.took[mode] = append(f.took[mode], took)
	f.ids[a.Receipt] = true
	if f.seen[mode] == nil {
		f.seen[mode] = map[string]int{}
	}
	f.seen[mode][fmt.Sprintf("%s/%s/%s", a.Decision, d.Status, d.Reason)]++
	want := api.ActionBlock // the detector failed, and the policy says so
	switch {
	case d.Status == api.StatusOK && mode == remotetest.Clean:
		want = api.ActionAllow
	case d.Status == api.StatusOK:
		want = api.ActionReview // what it found
	}
	if healthy := mode == remotetest.OK || mode == remotetest.Clean; a.Decision != want || healthy && d.Status != api.StatusOK && d.Status != api.StatusBusy || !healthy && mode != remotetest.Flapping && d.Status == api.StatusOK {
		f.wrong.Add(1)
	}
}

// report prints what came of each mode.
func (f *faults) report(t *testing.T) {
	t.Helper()
	var all []time.Duration
	for _, mode := range remotetest.Modes {
		took := f.took[mode]
		all = append(all, took...)
		slices.Sort(took)
		raw, err := json.Marshal(f.seen[mode])
		if err != nil {
			t.Error(err)
		}
		t.Logf("%-9s p50 %v p99 %v %s", mode, took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), raw)
	}
	slices.Sort(all)
	p99 := all[len(all)*99/100]
	t.Logf("all: p50 %v p99 %v most %v; the deadline is %v", all[len(all)/2], p99, all[len(all)-1], faultDeadline)
	if p99 > faultDeadline+20*time.Millisecond {
		t.Errorf("the deadline is not kept: %v", p99)
	}
}
