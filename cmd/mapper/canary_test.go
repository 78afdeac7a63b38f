//go:build llama

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/guard/guardtest"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// What a client sends as content is afterwards in no log, metric, trace, table, journal, dump or error message.
func TestCanaryNowhere(t *testing.T) {
	k := processtest.Key(t, processtest.Store(t), "me", "operator")
	t.Setenv(config.Prefix+"GUARD__MODEL_PATHS", guardtest.Dir(t))
	c := processtest.NewCanary(t, "canary4711")
	p := startProcess(t, "checkpoints/mapper-tiny", c.Logs)
	sendCanaries(t, p.Service, k, c.Text)
	c.Nowhere(t, p)
}

// sendCanaries puts the canary wherever a client can, and waits for the events.
func sendCanaries(t *testing.T, s processtest.Service, k, canary string) {
	t.Helper()
	said := []string{
		`{"detector":"x","output":"the user wrote ` + canary + `"}`, `{"detector":"x","output":"` + canary + `"}`, `{"detector":"` + canary + ` says","output":"toxic"}`,
		`{"detector":"presidio","output":[{"entity_type":"PERSON","score":0.5,"text":"` + canary + `"}]}`, `{"detector":"presidio","output":[{"entity_type":"` + canary + `"}]}`,
		`{"detector":"x","output":"toxic","metadata":{"` + canary + `":"` + canary + `"}}`, `{"requests":[{"detector":"x","output":"` + canary + `"}]}`, canary, `{"` + canary + `":1}`,
		`{"detector":"x","output":"toxic","tenant_id":"` + canary + `"}`, `{"detector":"x","output":"` + strings.Repeat(canary, 5000) + `"}`,
	}
	answered := 0
	for _, path := range []string{"/api/v1/map", "/api/v1/map/batch", "/api/v1/map?source=model", "/api/v1/map?source=" + canary, "/api/v1/jobs", "/api/v1/jobs/" + canary + "/result", "/api/v1/" + canary, "/api/v1/events?after=" + canary, "/api/v1/api-keys/" + canary} {
		for i, body := range said {
			var e api.Error
			status := s.Do(t, "POST", path, k, body, &e, "X-Request-ID", fmt.Sprint("canary ", canary, i), "Idempotency-Key", fmt.Sprint(canary, i, path), "User-Agent", canary, "Cookie", canary)
			if status == 200 {
				answered++
			} else if strings.Contains(e.Message, canary) {
				t.Errorf("%s %s: %+v", path, body, e)
			}
		}
	}
	s.Do(t, "POST", "/api/v1/map", canary, bomb, nil)
	chat := `{"model":"llama-guard-3","messages":[{"role":"user","content":"` + canary + `"}]}`
	judged := map[string]int{chat: 200, `{"model":"` + canary + `","messages":[{"role":"user","content":"x"}]}`: 404}
	for _, change := range [][2]string{{`"user"`, `"` + canary + `"`}, {`"messages"`, `"` + canary + `"`}, {canary, strings.Repeat(canary+" ", 2000)}, {`"}]`, `"`}} {
		judged[strings.Replace(chat, change[0], change[1], 1)] = 400
	}
	for body, want := range judged {
		var e api.Error
		if status := s.Do(t, "POST", "/v1/chat/completions", k, body, &e, "X-Request-ID", "chat "+canary, "User-Agent", canary); status != want || strings.Contains(fmt.Sprint(e, e.Chat), canary) {
			t.Errorf("%.90s: %d %+v, want %d", body, status, e, want)
		}
	}
	processtest.Until(t, "events", func() bool {
		var page api.EventsResponse
		return s.Do(t, "GET", "/api/v1/events?limit=1000", k, "", &page) == 200 && len(page.Events) >= answered-2 && answered > 10
	})
}
