package detect_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
)

func TestRunes(t *testing.T) {
	hits := []detect.Hit{{Start: 0, End: 2}, {Start: 2, End: 6}, {Start: 3, End: 6}, {Start: 7, End: 8}}
	detect.Runes("é\xffab日x", hits[:0])
	detect.Runes("éa日b\xffx", hits)
	want := [][2]int{{0, 1}, {1, 3}, {2, 3}, {4, 5}}
	for i, h := range hits {
		if h.RuneStart != want[i][0] || h.RuneEnd != want[i][1] {
			t.Errorf("%d: %d to %d, want %v", i, h.RuneStart, h.RuneEnd, want[i])
		}
	}
}

// BenchmarkAll runs four detectors one after another over 10 KB, and reports the 95th percentile.
func BenchmarkAll(b *testing.B) {
	all := []detect.Detector{pii.New(), secrets.New(), urls.New(), code.New()}
	content := detecttest.Prose()
	b.SetBytes(int64(len(content)))
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		for _, d := range all {
			if _, err := d.Detect(context.Background(), content); err != nil {
				b.Fatal(err)
			}
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100])/1e6, "p95-ms")
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
}
