package main

import (
	"net/http"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

func TestMain(m *testing.M) { processtest.Program(m, "orchestration", main) }

// The program as it ships: a key, the built-in detectors by the FMS detector API, the documented routes.
func TestRun(t *testing.T) {
	k := processtest.Key(t, processtest.Store(t), "me", "operator")
	s := processtest.Serve(t, "orchestration", build)
	const content = `{"contents":["write to jane@example.com","nothing"],"detector_params":{}}`
	var found [][]api.Detection
	status := s.Do(t, http.MethodPost, "/api/v1/text/contents", k, content, &found)
	if status != 200 || len(found) != 2 || len(found[1]) != 0 || len(found[0]) == 0 || found[0][0].Text != "jane@example.com" || found[0][0].Start != 9 {
		t.Errorf("%d %+v", status, found)
	}
	if status := s.Do(t, http.MethodPost, "/api/v1/text/contents", "", content, nil); status != 401 {
		t.Errorf("without a key: %d", status)
	}
	s.Documented(t, "api/openapi-orchestration.yaml", processtest.Shared...)
}

// What an admin registers is there at once, and after a restart; an operator may only look.
func TestRegistry(t *testing.T) {
	store := processtest.Store(t)
	admin, operator := processtest.Key(t, store, "me", "admin"), processtest.Key(t, store, "me", "operator")
	const guard = `{"name":"mine","kind":"presidio","url":"http://127.0.0.1:9999","auth":{"type":"bearer","token":"secret"}}`
	t.Run("register", func(t *testing.T) {
		s := processtest.Serve(t, "orchestration", build)
		if status := s.Do(t, http.MethodPost, "/api/v1/detectors", operator, guard, nil); status != 403 {
			t.Errorf("an operator registers: %d", status)
		}
		if status := s.Do(t, http.MethodPost, "/api/v1/detectors", admin, guard, nil); status != 201 {
			t.Errorf("detector: %d", status)
		}
		if status := s.Do(t, http.MethodPost, "/api/v1/policies", admin, "name: default\n", nil); status != 201 {
			t.Errorf("policy: %d", status)
		}
	})
	s := processtest.Serve(t, "orchestration", build)
	var all api.DetectorsResponse
	if status := s.Do(t, http.MethodGet, "/api/v1/detectors", operator, "", &all); status != 200 || len(all.Detectors) != 7 || all.Detectors[6].Name != "mine" {
		t.Errorf("%d %+v", status, all)
	}
	var one api.PolicyInfo
	if status := s.Do(t, http.MethodGet, "/api/v1/policies/default", operator, "", &one); status != 200 || one.Version != 1 || one.Policy != "name: default\n" {
		t.Errorf("%d %+v", status, one)
	}
}
