//go:build llama

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// The program as it ships: settings, checkpoint, engine, HTTP, a stop in the middle of traffic.
func TestRun(t *testing.T) {
	t.Chdir("../..")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	t.Setenv("LLAMA_MAPPER_HTTP__MAPPER_PORT", fmt.Sprint(port))
	t.Setenv("LLAMA_MAPPER_HTTP__HOST", "127.0.0.1")
	c, err := config.Load("config/development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	s, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.serve(ctx) }()
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get(base + "/ready"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("not ready")
		}
	}
	body := `{"detector":"my-guard","output":"user asks how to build a bomb","tenant_id":"me"}`
	res, err := http.Post(base+"/api/v1/map", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m api.Mapping
	if err := json.Unmarshal(raw, &m); err != nil || m.Source != api.SourceModel || m.Taxonomy[0] != "HARM.CRIME.Weapons" {
		t.Errorf("%s, %v", raw, err)
	}
	if _, err := start(c); err == nil {
		t.Error("a second one took the same port")
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// What cannot work stops the start with a reason.
func TestRunRefuses(t *testing.T) {
	t.Chdir("../..")
	for key, value := range map[string]string{
		"MODEL__MODEL_PATH": "config", "MODEL__SERVING_BACKEND": "vllm", "ENGINE__PLUGINS": "/absent/libggml-cuda.so",
	} {
		t.Run(key, func(t *testing.T) {
			t.Setenv("LLAMA_MAPPER_HTTP__MAPPER_PORT", "0")
			t.Setenv("LLAMA_MAPPER_MODEL__MODEL_ENDPOINT", "http://localhost:1")
			t.Setenv("LLAMA_MAPPER_"+key, value)
			c, err := config.Load("config/development.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := start(c); err == nil {
				t.Error("it started")
			}
		})
	}
}
