package spans

import (
	"slices"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

func TestResolve(t *testing.T) {
	hit := func(start, end int, score float64) detect.Hit {
		return detect.Hit{Start: start, End: end, Score: score}
	}
	f := func(want []detect.Hit, hits ...detect.Hit) {
		t.Helper()
		if got := Resolve(hits); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(nil)
	f([]detect.Hit{hit(0, 2, 1), hit(2, 4, 1)}, hit(2, 4, 1), hit(0, 2, 1))
	f([]detect.Hit{hit(0, 4, 1)}, hit(0, 4, 1), hit(2, 6, 0.5))
	f([]detect.Hit{hit(2, 6, 1)}, hit(0, 4, 0.5), hit(2, 6, 1))
	f([]detect.Hit{hit(0, 9, 0.5)}, hit(0, 4, 0.5), hit(0, 9, 0.5))
}
