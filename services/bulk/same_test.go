package bulk

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/web"
	"github.com/llama-mapper/llama-mapper/services/wire/wiretest"
)

// model is sure of findings with an odd length.
type model struct{}

func (model) Classify(_ context.Context, _, finding string) (mapper.Answer, error) {
	if len(finding)%7 == 0 {
		return mapper.Answer{}, mapper.ErrTooLong
	}
	p := 0.3 + 0.6*float64(len(finding)%2)
	return mapper.Answer{Label: "HARM.CRIME.Drugs", Confidence: p, Version: "m@1", Candidates: []api.Candidate{{Label: "HARM.CRIME.Drugs", Confidence: p}, {Label: "BIAS.Other", Confidence: 0.01}}}, nil
}
func (model) Version() string            { return "m@1" }
func (model) Answers(_, _ string) string { return "m@1" }

// discard records nothing.
type discard struct{}

func (discard) Keep(context.Context, *access.Tenant, []audit.Entry) error { return nil }

// randomLines are n requests: outputs of the corpus under names of all its detectors, words, and what is no request.
func randomLines(t *testing.T, n int) []string {
	t.Helper()
	var detectors []string
	var outputs []json.RawMessage
	for _, c := range wiretest.Cases(t) {
		detectors, outputs = append(detectors, c.Detector), append(outputs, c.Raw)
	}
	wrong := []string{`{`, `{"detector":"x"}`, `{"detector":"x","output":""}`, `{"detector":"x","output":{"a":1}}`, `{"detector":"x","output":"y","tenant_id":"b"}`, `[]`}
	random := rand.New(rand.NewPCG(5, 2026)) //nolint:gosec // the same lines each time
	lines := make([]string, n)
	for i := range lines {
		k := random.IntN(len(outputs))
		detector := detectors[k]
		switch random.IntN(10) {
		case 0:
			lines[i] = wrong[random.IntN(len(wrong))]
			continue
		case 1:
			detector = "pii"
		case 2, 3:
			detector = detectors[random.IntN(len(detectors))]
		}
		raw, err := json.Marshal(map[string]any{"detector": detector, "output": outputs[k]})
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = string(raw)
	}
	return lines
}

// timeless is an answer without when it was made.
func timeless(r api.BatchResult) api.BatchResult {
	if r.Mapping != nil {
		r.Mapping.Provenance.TS = ""
	}
	return r
}

// A job, a batch and single requests answer the same, in every view.
func TestSameAnswers(t *testing.T) {
	k, err := mapper.LoadKnowledge()
	if err != nil {
		t.Fatal(err)
	}
	o := mapper.DefaultOptions()
	o.Timeout = time.Minute
	s := mapper.New(model{}, k, o, prometheus.NewRegistry())
	f := newFixtureOf(t, nil, s, func(r *web.Router) { s.Register(r, discard{}, nil) })
	key := f.key(t, "a")
	lines := randomLines(t, 700)
	for _, query := range []string{"", "?controls=true&taxonomy=2025.09", "?source=model", "?taxonomy=2026.11"} {
		var j api.Job
		if status := f.do(t, "POST", "/api/v1/jobs"+query, key, strings.NewReader(strings.Join(lines, "\n")), &j); status != 202 {
			t.Fatal(status)
		}
		single := make([]api.BatchResult, len(lines))
		kinds := map[bool]int{}
		for i, line := range lines {
			var e api.Error
			var m api.Mapping
			var raw []byte
			if f.do(t, "POST", "/api/v1/map"+query, key, strings.NewReader(line), &raw) == 200 {
				err, single[i].Mapping = json.Unmarshal(raw, &m), &m
			} else {
				err, single[i].Error = json.Unmarshal(raw, &e), &e
				e.RequestID = ""
			}
			if err != nil {
				t.Fatal(err)
			}
			timeless(single[i])
			kinds[single[i].Error == nil]++
		}
		if kinds[true] < 400 || kinds[false] < 50 {
			t.Errorf("%v", kinds)
		}
		f.ended(t, key, j.ID)
		for i, l := range f.result(t, key, j.ID) {
			same(t, "job"+query, lines[i], timeless(api.BatchResult{Mapping: l.Mapping, Error: l.Error}), single[i])
		}
		f.batches(t, query, key, lines, single)
	}
	if status := f.do(t, "POST", "/api/v1/jobs?taxonomy=2024", key, strings.NewReader(lines[0]), nil); status != 400 {
		t.Errorf("an unknown taxonomy: %d", status)
	}
}

// batches sends lines that are JSON in batches of 20.
func (f *fixture) batches(t *testing.T, query, key string, lines []string, single []api.BatchResult) {
	t.Helper()
	var batch []string
	var of []int
	for i, line := range lines {
		if strings.HasPrefix(line, `{"`) {
			batch, of = append(batch, line), append(of, i)
		}
		if len(batch) < 20 && i+1 < len(lines) {
			continue
		}
		var out api.MapBatchResponse
		if status := f.do(t, "POST", "/api/v1/map/batch"+query, key, strings.NewReader(`{"requests":[`+strings.Join(batch, ",")+`]}`), &out); status != 200 || len(out.Results) != len(of) {
			t.Fatal(status, len(out.Results))
		}
		for k, r := range out.Results {
			same(t, "batch"+query, batch[k], timeless(r), single[of[k]])
		}
		batch, of = nil, nil
	}
}

func same(t *testing.T, what, line string, got, want api.BatchResult) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("%s: %.200s\n%s\n%s", what, line, g, w)
	}
}
