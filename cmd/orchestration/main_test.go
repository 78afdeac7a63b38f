package main

import (
	"net/http"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

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
