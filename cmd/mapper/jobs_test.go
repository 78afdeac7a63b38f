//go:build llama

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// pairs are distinct requests; one in eight of them is for the model, and one in 250 is wrong.
func pairs(n int) []string {
	out := make([]string, n)
	for i := range out {
		switch {
		case i%250 == 17:
			out[i] = fmt.Sprintf(`{"detector":"x%d","output":""}`, i)
		case i%8 == 0:
			out[i] = fmt.Sprintf(`{"detector":"x","output":"weapon %d"}`, i)
		default:
			out[i] = fmt.Sprintf(`{"detector":"presidio","output":[{"entity_type":"US_SSN","start":%d,"end":%d,"score":0.85}]}`, i, i+11)
		}
	}
	return out
}

// tally is what came back for the lines of a job.
type tally struct{ mappings, errors, events int }

// check reads a job's result and its events: line i must have the answer to pair of(i), once, and one event if it is
// a mapping.
func check(t *testing.T, s processtest.Service, key, id string, lines int, of func(int) int, distinct int) tally {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.Base+"/api/v1/jobs/"+id+"/result", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var sum tally
	answer := make([]string, distinct)
	mapped := make([]bool, lines)
	in := bufio.NewReaderSize(res.Body, 1<<20)
	for i := 0; ; i++ {
		raw, err := in.ReadBytes('\n')
		if err == io.EOF && len(raw) == 0 && i == lines { //nolint:errorlint // ReadBytes returns it as it is
			break
		}
		if err != nil || i == lines {
			t.Fatalf("line %d of %d: %v %.100s", i, lines, err, raw)
		}
		var l struct {
			Line    int
			Mapping *struct{ Taxonomy, Source, Confidence, Notes json.RawMessage }
			Error   *api.Error
		}
		if err := json.Unmarshal(raw, &l); err != nil || l.Line != i+1 || (l.Mapping == nil) == (l.Error == nil) {
			t.Fatalf("line %d: %v %.300s", i+1, err, raw)
		}
		said := ""
		if l.Error != nil {
			said, sum.errors = string(l.Error.Code), sum.errors+1
		} else {
			said, sum.mappings, mapped[i] = fmt.Sprintf("%s", *l.Mapping), sum.mappings+1, true
		}
		if p := of(i); answer[p] == "" {
			answer[p] = said
		} else if answer[p] != said {
			t.Errorf("line %d: %s, and before %s", i+1, said, answer[p])
		}
	}
	sum.events = countJob(t, s, key, id, mapped)
	return sum
}

// countJob reads the feed and holds the job's events against its mappings.
func countJob(t *testing.T, s processtest.Service, key, id string, mapped []bool) (n int) {
	t.Helper()
	seen := make([]bool, len(mapped))
	for after := "0"; ; {
		var page api.EventsResponse
		if status := s.Do(t, "GET", "/api/v1/events?limit=1000&after="+after, key, "", &page); status != 200 {
			t.Fatal(status)
		}
		if len(page.Events) == 0 {
			break
		}
		after = page.Next
		for _, raw := range page.Events {
			var e struct {
				RequestID string `json:"request_id"`
				Item      int    `json:"item"`
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			if e.RequestID != id {
				continue
			}
			if n++; seen[e.Item] || !mapped[e.Item] {
				t.Errorf("line %d has an event too many", e.Item+1)
			}
			seen[e.Item] = true
		}
	}
	return n
}

// replica starts another process that shares the databases and the master key, and has a state directory of its own.
func replica(t *testing.T, logs *os.File) *processtest.Child {
	t.Helper()
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	return startProcess(t, "checkpoints/mapper-tiny", logs)
}

// shareMaster has all replicas use the master key that was made for the first state directory.
func shareMaster(t *testing.T) {
	t.Helper()
	t.Setenv(config.Prefix+"ACCESS__MASTER_KEY", strings.TrimSpace(string(processtest.Read(t, filepath.Join(os.Getenv(config.Prefix+"STATE_DIR"), "master.key")))))
}

// Two replicas share a job, and one is killed midway: every line is answered once and has one event, as if it had not been,
// and the answers are those that the same requests have alone. What was sent is nowhere in the database.
func TestJobSurvivesKill(t *testing.T) {
	store := processtest.Store(t)
	k := processtest.Key(t, store, "me", "operator")
	shareMaster(t)
	t.Setenv(config.Prefix+"LOG_LEVEL", "WARN")
	t.Setenv(config.Prefix+"DEBUG", "false")
	const lines, distinct = 20_000, 2000
	all := pairs(distinct)
	of := func(i int) int { return (i * 7) % distinct }
	var body bytes.Buffer
	for i := range lines {
		body.WriteString(strings.Replace(all[of(i)], "{", `{"metadata":{"said":"canary4711"},`, 1) + "\n")
	}
	first, second := replica(t, nil), replica(t, nil)
	s := second.Service
	var j api.Job
	if status := first.Do(t, "POST", "/api/v1/jobs", k, body.String(), &j, "Content-Type", "application/x-ndjson"); status != 202 || j.Lines != lines {
		t.Fatalf("%d %+v", status, j)
	}
	progress := func() api.Job { s.Do(t, "GET", "/api/v1/jobs/"+j.ID, k, "", &j); return j }
	processtest.Until(t, "a quarter done", func() bool { return progress().Done > lines/4 })
	first.Kill()
	killed := progress().Done
	if killed >= lines {
		t.Fatal("it was done before the kill")
	}
	if raw := processtest.Dump(t); bytes.Contains(raw, []byte("canary4711")) || bytes.Contains(raw, []byte("weapon 8")) {
		t.Error("the database has what was sent")
	}
	begin := time.Now()
	for deadline := begin.Add(3 * time.Minute); progress().FinishedAt == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not done: %+v", j)
		}
	}
	sum := check(t, s, k, j.ID, lines, of, distinct)
	t.Logf("killed after %d lines, done %v later; %+v; %.0f lines a second", killed, time.Since(begin).Round(time.Millisecond), sum, j.Rate)
	if want := lines / 250; sum.errors != want || sum.mappings != lines-want || sum.events != sum.mappings || j.Failed != int64(want) {
		t.Errorf("%+v, job %+v", sum, j)
	}
	same(t, s, k, all[:40], j.ID, of)
	if raw := processtest.Dump(t); bytes.Contains(raw, []byte("canary4711")) {
		t.Error("the database has what was sent")
	}
}

// same compares a job's answers with those of /api/v1/map, but for the time.
func same(t *testing.T, s processtest.Service, k string, some []string, id string, of func(int) int) {
	t.Helper()
	var want []string
	for _, body := range some {
		var m api.Mapping
		status := s.Do(t, "POST", "/api/v1/map", k, body, &m)
		m.Provenance.TS = ""
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%d %s", status, raw))
	}
	req, _ := http.NewRequest(http.MethodGet, s.Base+"/api/v1/jobs/"+id+"/result", nil)
	req.Header.Set("X-API-Key", k)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	compared := 0
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		var l api.JobLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		p := of(int(l.Line - 1))
		if p >= len(some) {
			continue
		}
		got := "400"
		var m api.Mapping
		if l.Mapping != nil {
			got, m = "200", *l.Mapping
		}
		m.Provenance.TS = ""
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if compared++; got+" "+string(raw) != want[p] {
			t.Errorf("line %d: %s %s, alone %s", l.Line, got, raw, want[p])
		}
	}
	if compared < len(some) {
		t.Errorf("only %d compared", compared)
	}
}
