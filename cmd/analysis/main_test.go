package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// The program as it ships, with a mapper that has one event for whoever has a key: the summary, the documented routes.
func TestRun(t *testing.T) {
	mapper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") == "" {
			t.Error("the caller's key is not passed on")
		}
		fmt.Fprint(w, `{"events":[{"seq":1,"kind":"mapping","detector":"d","source":"table","taxonomy":["OTHER.Spam"],"confidence":1}],"next":"1"}`)
	}))
	defer mapper.Close()
	t.Setenv("LLAMA_MAPPER_MAPPER_URL", mapper.URL)
	t.Setenv("LLAMA_MAPPER_LIMITS__ADDRESS", "3")
	k := processtest.Key(t, processtest.Store(t), "me", "operator")
	s := processtest.Serve(t, "analysis", build)
	var sum api.Summary
	status := s.Do(t, http.MethodGet, "/api/v1/summary", k, "", &sum)
	if status != 200 || sum.Events != 1 || sum.Labels["OTHER.Spam"] != 1 || sum.Next != "1" || !sum.Complete {
		t.Errorf("%d %+v", status, sum)
	}
	if status := s.Do(t, http.MethodGet, "/api/v1/summary?after=x", k, "", nil); status != 400 {
		t.Errorf("a wrong cursor: %d", status)
	}
	for _, want := range []int{401, 401, 401, 429} { // an address may guess three times a minute
		if status := s.Do(t, http.MethodGet, "/api/v1/summary", "lm_guess", "", nil); status != want {
			t.Errorf("a wrong key: %d, want %d", status, want)
		}
	}
	if status := s.Do(t, http.MethodGet, "/api/v1/summary", k, "", nil); status != 200 {
		t.Errorf("a good key from the same address: %d", status)
	}
	s.Documented(t, "api/openapi-analysis.yaml", processtest.Shared...)
}
