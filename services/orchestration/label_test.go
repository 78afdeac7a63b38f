package orchestration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// said is a detector's output with n findings of long names.
func said(detector string, n int) Said {
	out := wire.Output{Vendor: "own"}
	for i := range n {
		out.Findings = append(out.Findings, wire.Finding{Native: fmt.Sprintf("%s_%058d", "LABEL", i)})
	}
	return Said{detector, out}
}

// Many findings go in as many batches as they need, and answers come in their order.
func TestLabelBatches(t *testing.T) {
	var batches atomic.Int64
	mapper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		batches.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > api.MaxBody || r.Header.Get("X-Request-ID") != "id" || !strings.HasPrefix(r.Header.Get("X-API-Key"), "lmp_") {
			t.Error(len(body), err, r.Header)
		}
		req, errs, err := api.ParseMapBatchRequest(body, "a")
		if err != nil {
			t.Error(err)
		}
		out := api.MapBatchResponse{}
		for i, item := range req.Requests {
			if _, err := wire.Parse(item.Detector, item.Output); err != nil || errs[i] != nil {
				t.Error(err, errs[i])
			}
			out.Results = append(out.Results, api.BatchResult{Mapping: &api.Mapping{Notes: item.Detector}})
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(mapper.Close)
	l := NewLabeller(mapper.URL, accesstest.Secrets(t))
	var all []Said
	for i := range 130 {
		all = append(all, said(fmt.Sprint("detector-", i), 1+i%64))
	}
	results, err := l.Label(context.Background(), accesstest.Caller(t, "a"), "id", all)
	if err != nil || len(results) != len(all) || batches.Load() < 3 {
		t.Fatal(len(results), batches.Load(), err)
	}
	for i, r := range results {
		if r.Mapping.Notes != all[i].Detector {
			t.Errorf("%d is %s", i, r.Mapping.Notes)
		}
	}
}

// Why the mapper has not answered is a word of ours, and a mapper that fails is left alone.
func TestLabelFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"shape": {200, `{"results":[]}`, "shape"}, "garbage": {200, `canary`, "shape"}, "refused": {401, `{"message":"canary"}`, "refused"}, "busy": {429, ``, "busy"}, "broken": {500, ``, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			mapper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			t.Cleanup(mapper.Close)
			l := NewLabeller(mapper.URL, accesstest.Secrets(t))
			for range 5 {
				if _, err := l.Label(context.Background(), accesstest.Caller(t, "a"), "id", []Said{said("d", 1)}); err == nil || err.Error() != c.want {
					t.Fatalf("%v, want %s", err, c.want)
				}
			}
			_, err := l.Label(context.Background(), accesstest.Caller(t, "a"), "id", []Said{said("d", 1)})
			if open := err.Error() == "circuit_open"; open == (c.want == "busy") || (asked.Load() == 5) != open {
				t.Errorf("%v after %d", err, asked.Load())
			}
		})
	}
}

// A request that has little time left waits no longer than that, which is not the mapper's fault.
func TestLabelDeadline(t *testing.T) {
	gone := make(chan struct{})
	mapper := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }))
	t.Cleanup(mapper.Close)
	t.Cleanup(func() { close(gone) })
	l := NewLabeller(mapper.URL, accesstest.Secrets(t))
	for range 6 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		if _, err := l.Label(ctx, accesstest.Caller(t, "a"), "id", []Said{said("d", 1)}); err == nil || err.Error() != "no_time" {
			t.Errorf("%v", err)
		}
		cancel()
	}
	away := NewLabeller("http://127.0.0.1:1", accesstest.Secrets(t))
	if _, err := away.Label(context.Background(), accesstest.Caller(t, "a"), "id", []Said{said("d", 1)}); err == nil || err.Error() != "unreachable" {
		t.Error(err)
	}
}
