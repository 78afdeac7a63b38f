package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// The program as it ships: a key, the built-in detectors by the FMS detector API, the documented routes.
func TestRun(t *testing.T) {
	s := processtest.Run(t, "orchestration", build)
	const content = `{"contents":["write to jane@example.com","nothing"],"detector_params":{}}`
	var found [][]api.Detection
	status, body := s.Do(t, http.MethodPost, "/api/v1/text/contents", s.Key, content)
	if err := json.Unmarshal(body, &found); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	if len(found) != 2 || len(found[1]) != 0 || len(found[0]) == 0 || found[0][0].Text != "jane@example.com" || found[0][0].Start != 9 {
		t.Errorf("%+v", found)
	}
	if status, _ := s.Do(t, http.MethodPost, "/api/v1/text/contents", "", content); status != 401 {
		t.Errorf("without a key: %d", status)
	}
	s.Documented(t, "api/openapi-orchestration.yaml")
}
