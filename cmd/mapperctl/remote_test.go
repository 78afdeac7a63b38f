package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
)

// hang keeps a client waiting until it gives up.
func hang(r *http.Request) {
	io.Copy(io.Discard, r.Body) // so that the server notices
	<-r.Context().Done()
}

// A server that hangs, breaks off, or is away for a while is asked again, and an upload is one job.
func TestMapPersists(t *testing.T) {
	mux := http.NewServeMux()
	var uploads, asked, downloads atomic.Int32
	var once atomic.Value
	mux.HandleFunc("POST /api/v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if !once.CompareAndSwap(nil, key) && once.Load() != key || key == "" {
			t.Errorf("the key is %q, and was %q", key, once.Load())
		}
		switch uploads.Add(1) {
		case 1:
			hang(r)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			json.NewEncoder(w).Encode(api.Errorf(api.Unavailable, "the answer to COMMIT was lost"))
		default:
			io.Copy(io.Discard, r.Body)
			json.NewEncoder(w).Encode(api.Job{ID: "j1", State: api.JobRunning, Lines: 2})
		}
	})
	mux.HandleFunc("GET /api/v1/jobs/j1", func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			hang(r)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			w.WriteHeader(http.StatusBadGateway)
		case 4:
			io.WriteString(w, `{"id":`)
		default:
			json.NewEncoder(w).Encode(api.Job{ID: "j1", State: api.JobDone, Lines: 2, Done: 2})
		}
	})
	mux.HandleFunc("GET /api/v1/jobs/j1/result", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{\"line\":1}\n")
		w.(http.Flusher).Flush()
		switch downloads.Add(1) {
		case 1:
			hang(r)
		case 2:
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "{\"line\":2}\n")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	in, result := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(in, []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := ctl("map", in, "--url", s.URL, "--key", "k", "--timeout", "1s", "--out", result); err != nil || uploads.Load() < 3 {
		t.Errorf("%s %v; %d uploads", out, err, uploads.Load())
	}
	if raw, err := os.ReadFile(result); err != nil || string(raw) != "{\"line\":1}\n{\"line\":2}\n" {
		t.Errorf("%s %v", raw, err)
	}
}

// A server that never answers is given up, and the message says how to go on.
func TestMapGivesUp(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Add(1); hang(r) }))
	t.Cleanup(s.Close)
	out, err := ctl("map", "--job", "j1", "--url", s.URL, "--key", "k", "--timeout", "20ms")
	if err == nil || !strings.Contains(err.Error(), "given up after 20 tries") || !strings.Contains(err.Error(), "does not answer") || !strings.Contains(err.Error(), "mapperctl map --job j1") || asked.Load() > tries {
		t.Errorf("%s %v; asked %d times", out, err, asked.Load())
	}
	for _, args := range [][]string{{"--detector", "d", "x"}, {filepath.Join(t.TempDir(), "none")}} {
		if out, err := ctl(append([]string{"map", "--url", s.URL, "--key", "k", "--timeout", "20ms"}, args...)...); err == nil || strings.Contains(err.Error(), "given up") {
			t.Errorf("%v: %s %v", args, out, err)
		}
	}
}
