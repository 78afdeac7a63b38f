//go:build llama

package main

import (
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/guard/guardtest"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// A guard answers beside the mapper, for a bearer's key too, and leaves no event.
func TestGuard(t *testing.T) {
	store := processtest.Store(t)
	k, viewer := processtest.Key(t, store, "me", "operator"), processtest.Key(t, store, "me", "viewer")
	t.Setenv(config.Prefix+"GUARD__MODEL_PATHS", guardtest.Dir(t))
	s := processtest.Serve(t, "mapper", build)
	const path, body = "/v1/chat/completions", `{"model":"llama-guard-3","messages":[{"role":"user","content":"hello"}],"temperature":0,"max_tokens":100,"stream":false}`
	var c api.ChatCompletion
	if status := s.Do(t, "POST", path, "", body, &c, "Authorization", "Bearer "+k); status != 200 {
		t.Fatalf("%d", status)
	}
	if out, err := wire.Parse(c.Model, c.Choices[0].Message.Content); err != nil || out.Vendor != "llama-guard" || out.Table != "llama-guard-3" || c.Choices[0].Confidence <= 0 {
		t.Errorf("%+v: %+v %v", c, out, err)
	}
	var models api.ModelsResponse
	if status := s.Do(t, "GET", "/v1/models", k, "", &models); status != 200 || len(models.Data) != 1 || models.Data[0].ID != c.Model {
		t.Errorf("%d %+v", status, models)
	}
	if status := s.Do(t, "POST", path, "", body, nil); status != 401 {
		t.Errorf("without a key: %d", status)
	}
	if status := s.Do(t, "POST", path, viewer, body, nil); status != 403 {
		t.Errorf("without the scope map: %d", status)
	}
	var page api.EventsResponse
	s.Do(t, "POST", "/api/v1/map", k, bomb, nil)
	processtest.Until(t, "an event", func() bool { return s.Do(t, "GET", "/api/v1/events", k, "", &page) == 200 && len(page.Events) > 0 })
	if len(page.Events) != 1 {
		t.Errorf("%d events of one mapping", len(page.Events))
	}
}

// A guard does not map, and what maps is no guard.
func TestGuardRefuses(t *testing.T) {
	processtest.Store(t)
	dir := guardtest.Dir(t)
	for _, set := range [][3]string{
		{"GUARD__MODEL_PATHS", "checkpoints/mapper-tiny", "name it in model.model_path"}, {"MODEL__MODEL_PATH", dir, "name it in guard.model_paths"},
		{"GUARD__MODEL_PATHS", "config", "guard.model_paths"}, {"GUARD__MODEL_PATHS", dir + "," + dir, "two guards are named llama-guard-3"},
	} {
		t.Run(set[2], func(t *testing.T) {
			t.Setenv(config.Prefix+set[0], set[1])
			if _, err := process.Start("mapper", processtest.Settings(t), build); err == nil || !strings.Contains(err.Error(), set[2]) {
				t.Errorf("%v: got %v", set, err)
			}
		})
	}
}
