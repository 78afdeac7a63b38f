//go:build llama

package main

import (
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

const bomb = `{"detector":"my-guard","output":"user asks how to build a bomb"}`

// The program as it ships: settings, keys, checkpoint, engine, HTTP, events, a stop in the middle of traffic.
func TestRun(t *testing.T) {
	store := processtest.Store(t)
	k := processtest.Key(t, store, "me", "operator")
	s := processtest.Serve(t, "mapper", build)
	var m api.Mapping
	if status := s.Do(t, "POST", "/api/v1/map", k, bomb, &m); status != 200 || m.Source != api.SourceModel || m.Taxonomy[0] != "HARM.CRIME.Weapons" {
		t.Errorf("%d %+v", status, m)
	}
	var page api.EventsResponse
	processtest.Until(t, "an event", func() bool { return s.Do(t, "GET", "/api/v1/events", k, "", &page) == 200 && len(page.Events) == 1 })
	t.Setenv(config.Prefix+"HTTP__MAPPER_PORT", s.Base[strings.LastIndex(s.Base, ":")+1:])
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	if _, err := process.Start("mapper", processtest.Settings(t), build); err == nil || !strings.Contains(err.Error(), "http.mapper_port") {
		t.Errorf("a second one on the same port: %v", err)
	}
}

// What cannot work stops the start with a reason.
func TestRunRefuses(t *testing.T) {
	processtest.Store(t)
	t.Setenv("LLAMA_MAPPER_MODEL__MODEL_ENDPOINT", "http://localhost:1")
	for key, value := range map[string]string{
		"MODEL__MODEL_PATH": "config", "MODEL__SERVING_BACKEND": "vllm", "ENGINE__PLUGINS": "/absent/libggml-cuda.so", "STATE_DIR": "/dev/null/x", "ENVIRONMENT": "production",
	} {
		t.Run(key, func(t *testing.T) {
			t.Setenv("LLAMA_MAPPER_"+key, value)
			if _, err := process.Start("mapper", processtest.Settings(t), build); err == nil {
				t.Error("it started")
			} else {
				t.Log(err)
			}
		})
	}
}

// The routes are those of the OpenAPI document.
func TestRoutes(t *testing.T) {
	processtest.Store(t)
	processtest.Serve(t, "mapper", build).Documented(t, "api/openapi.yaml")
}
