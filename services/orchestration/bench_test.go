package orchestration

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
)

// BenchmarkOverhead reports what an orchestration takes beyond its slowest detector, which takes 20 ms: the plan, the
// fan-out, the mapper over HTTP (one that answers at once), the judgment, and the receipt but for its disk.
func BenchmarkOverhead(b *testing.B) {
	const policies = "name: default\ndetectors: {d: {mode: required}, e: {mode: required}}\nrules: [{labels: ['PII.*'], action: redact}]\n"
	s, _ := fixture(b, one{"default": policies}, scripted{name: "d", label: "X", sleeps: 20 * time.Millisecond}, scripted{name: "e"})
	caller := accesstest.Caller(b, "a")
	req, err := api.ParseOrchestrateRequest([]byte(`{"content":"jane@example.com","redact":true}`), "a")
	if err != nil {
		b.Fatal(err)
	}
	var added []float64
	for b.Loop() {
		a, err := s.Orchestrate(context.Background(), caller, "id", req)
		if err != nil {
			b.Fatal(err)
		}
		added = append(added, a.TookMS-a.Detectors[0].TookMS)
	}
	slices.Sort(added)
	b.ReportMetric(added[len(added)*95/100], "added-p95-ms")
}
