package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
)

// fake answers as a mapper with one job, which is done when it is asked for the third time.
func fake(t *testing.T) *httptest.Server {
	t.Helper()
	mux, j, asked := http.NewServeMux(), api.Job{ID: "j1", State: api.JobRunning}, 0
	reply := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("POST /api/v1/map", func(w http.ResponseWriter, r *http.Request) {
		var req api.MapRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Detector != "d" || string(req.Raw) != `"a label"` || r.URL.RawQuery != "controls=true&source=model&taxonomy=2025.09" {
			t.Errorf("%+v %v %s", req, err, r.URL.RawQuery)
		}
		reply(w, 200, api.Mapping{Taxonomy: []string{"OTHER.Unknown"}, Confidence: .31, Source: api.SourceFallback, Candidates: []api.Candidate{{Label: "PII.Name", Confidence: .31}}, Controls: []string{"GDPR:Art-9"}})
	})
	mux.HandleFunc("POST /api/v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") != "secret" {
			reply(w, 401, api.Errorf(api.Unauthorized, "no key"))
			return
		}
		if r.URL.RawQuery != "controls=true" {
			t.Error(r.URL.RawQuery)
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		for in := bufio.NewScanner(z); in.Scan(); j.Lines++ {
		}
		reply(w, 202, j)
	})
	mux.HandleFunc("GET /api/v1/jobs/j1", func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			reply(w, 503, api.Errorf(api.Unavailable, "away"))
			return
		}
		if asked == 3 {
			j.State, j.Done, j.FinishedAt = api.JobDone, j.Lines, &j.CreatedAt
		}
		reply(w, 200, j)
	})
	mux.HandleFunc("GET /api/v1/jobs/j1/result", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{\"line\":1}\n{\"line\":2}\n")) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestMap(t *testing.T) {
	s := fake(t)
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := ctl("map", file, "--url", s.URL); err == nil {
		t.Errorf("without a key: %s", out)
	}
	if out, err := ctl("map", file, "--url", s.URL, "--key", "other"); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("with a wrong key: %s %v", out, err)
	}
	t.Setenv("LLAMA_KEY", "secret")
	result := filepath.Join(t.TempDir(), "out")
	out, err := ctl("map", file, "--url", s.URL, "--controls", "--out", result)
	if err != nil || !strings.Contains(out, "job j1: 2 lines") || !strings.Contains(out, "2 of 2 lines") {
		t.Errorf("%s %v", out, err)
	}
	if raw, err := os.ReadFile(result); err != nil || string(raw) != "{\"line\":1}\n{\"line\":2}\n" {
		t.Errorf("%s %v", raw, err)
	}
	if out, err := ctl("map", "--job", "j1", "--url", s.URL); err != nil || !strings.HasSuffix(out, `{"line":2}`) {
		t.Errorf("a job from before: %s %v", out, err)
	}
	if out, err := ctl("map", "--job", "j1", "--url", s.URL, "--controls"); err == nil {
		t.Errorf("a job from before in another view: %s", out)
	}
	out, err = ctl("map", "--url", s.URL, "--detector", "d", "--model-only", "--controls", "--taxonomy", "2025.09", "a label")
	if err != nil || !strings.HasPrefix(out, "OTHER.Unknown\t31.0 %, fallback") || !strings.Contains(out, "perhaps PII.Name") || !strings.Contains(out, "concerns GDPR:Art-9") {
		t.Errorf("%s %v", out, err)
	}
}
