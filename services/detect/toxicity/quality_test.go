package toxicity

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

// threshold is the score from which on a hit counts here, and by which a policy should begin.
const threshold = 0.5

// Floors under the quality on the test corpus, by label: recall and precision. README.md has what was measured.
var floors = map[string][2]float64{
	"TOXICITY": {0.6, 0.7}, "SEVERE_TOXICITY": {0.15, 0.6}, "OBSCENE": {0.6, 0.7}, "INSULT": {0.5, 0.6}, "THREAT": {0.4, 0.7}, "IDENTITY_ATTACK": {0.4, 0.7},
}

var misses = flag.String("misses", "", "the corpus whose wrong lines to print")

// The table of README.md: go test ./services/detect/toxicity -run Quality -v
func TestQuality(t *testing.T) {
	train, test := detecttest.Corpus(t, "testdata/train.tsv"), detecttest.Corpus(t, "testdata/test.tsv")
	detecttest.Apart(t, train, test)
	if len(test) < 300 {
		t.Errorf("%d lines to test with", len(test))
	}
	d := New()
	for _, c := range []struct {
		name  string
		lines []detecttest.Line
	}{{"train", train}, {"test", test}} {
		lines, found, said := map[string]int{}, map[string]int{}, map[string]int{}
		for _, l := range c.lines {
			best := detecttest.Best(t, d, l.Text)
			for _, label := range Labels {
				has, says := slices.Contains(l.Labels, label), best[label] >= threshold
				if has {
					lines[label]++
				}
				if says {
					said[label]++
				}
				if has && says {
					found[label]++
				}
				if *misses == c.name && has != says {
					t.Logf("%s %s %.2f %v: %s", l.Template, label, best[label], l.Labels, l.Text)
				}
			}
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s.tsv, %d lines, threshold %.1f\n| label | recall | precision |\n|---|---|---|\n", c.name, len(c.lines), threshold)
		for _, label := range Labels {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", label, detecttest.Share(found[label], lines[label]), detecttest.Share(found[label], said[label]))
			floor := floors[label]
			if c.name == "test" && (float64(found[label]) < floor[0]*float64(lines[label]) || float64(found[label]) < floor[1]*float64(said[label])) {
				t.Errorf("%s is below its floor", label)
			}
		}
		t.Log(b.String())
	}
}
