package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// measurePeer puts the same prompts, as tokens, to llama-server with the same weights and adapter.
func measurePeer(w *work, tools string, ours8 float64, each time.Duration) (err error) {
	port, err := freePort()
	if err != nil {
		return err
	}
	c := w.checkpoint
	s, err := start("/health", port, nil, filepath.Join(tools, "llama-server"),
		"--model", c.Path(c.Base.File), "--lora", c.Path(c.Adapters[0].File), "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"--parallel", "8", "--threads", strconv.Itoa(runtime.NumCPU()), "--ctx-size", "4096", "--log-disable")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Printf("\nllama-server, the same weights, prompts and cores, 8 clients\n")
	var labels, codes []string
	for i, label := range w.taxonomy.Labels {
		labels = append(labels, label.ID)
		codes = append(codes, fmt.Sprintf("<[%d]>", w.codes[i]))
	}
	schema := map[string]any{
		"type": "object", "properties": map[string]any{"label": map[string]any{"type": "string", "enum": labels}}, "required": []string{"label"}, "additionalProperties": false,
	}
	for _, way := range []struct {
		name string
		with map[string]any
	}{
		{"JSON schema of the labels", map[string]any{"json_schema": schema, "n_predict": 64}},
		{"one code token, token-literal grammar", map[string]any{"grammar": "root ::= " + strings.Join(codes, " | "), "n_predict": 1}},
	} {
		var bodies [][]byte
		for _, prompt := range w.prompts[:2000] {
			body := map[string]any{"prompt": prompt, "temperature": 0, "cache_prompt": true}
			for key, value := range way.with {
				body[key] = value
			}
			raw, err := json.Marshal(body)
			if err != nil {
				return err
			}
			bodies = append(bodies, raw)
		}
		t := newTarget(s.address, "/completion", "", bodies, func(status int, body []byte) error {
			if status != 200 || !json.Valid(body) {
				return fmt.Errorf("status %d", status)
			}
			return nil
		})
		t.closed(8, time.Second)
		r := t.closed(8, each)
		answered := r.good
		if r.p95 >= limit {
			answered = 8 / r.p50.Seconds() // all answers count here, the late ones too
		}
		fmt.Printf("  %-40s %s   the mapper answers %.1f times as many\n", way.name, r, ours8/answered)
	}
	return nil
}
