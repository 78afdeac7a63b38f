package injection

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

// Floors under the quality on the test corpus; README.md has what was measured.
const (
	minRecall    = 0.45 // of each label, by that label
	minAny       = 0.65 // of all attacks, by any label
	minPrecision = 0.85
)

var misses = flag.String("misses", "", "the corpus whose wrong lines to print")

// tally counts what was said about the lines of a label.
type tally struct{ lines, found, any, said, right int }

func measure(t *testing.T, name string, lines []detecttest.Line) map[string]*tally {
	d, out := New(), map[string]*tally{"any": {}}
	for _, l := range labels {
		out[l] = &tally{}
	}
	for _, l := range lines {
		best := detecttest.Best(t, d, l.Text)
		attack := len(l.Labels) > 0
		for _, label := range l.Labels {
			out[label].lines++
			out["any"].lines++
			if best[label] >= threshold {
				out[label].found++
			}
			if best[""] >= threshold {
				out[label].any++
				out["any"].any++
			}
		}
		for label, score := range best {
			if score < threshold {
				continue
			}
			if label == "" {
				label = "any"
			}
			out[label].said++
			if attack {
				out[label].right++
			}
		}
		if *misses == name && (attack != (best[""] >= threshold) || attack && best[l.Labels[0]] < threshold) {
			t.Logf("%s %v %v: %s", l.Template, l.Labels, best, l.Text)
		}
	}
	out["any"].found = out["any"].any
	return out
}

// The table of README.md: go test ./services/detect/injection -run Quality -v
func TestQuality(t *testing.T) {
	dev, test := detecttest.Corpus(t, "testdata/dev.tsv"), detecttest.Corpus(t, "testdata/test.tsv")
	detecttest.Apart(t, dev, test)
	if len(test) < 300 {
		t.Errorf("%d lines to test with", len(test))
	}
	for _, c := range []struct {
		name  string
		lines []detecttest.Line
	}{{"dev", dev}, {"test", test}} {
		out := measure(t, c.name, c.lines)
		var b strings.Builder
		fmt.Fprintf(&b, "%s.tsv, %d lines, threshold %.1f\n| label | recall, by this label | recall, by any | precision |\n|---|---|---|---|\n", c.name, len(c.lines), threshold)
		for _, label := range append(slices.Clone(labels), "any") {
			o := out[label]
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", label, detecttest.Share(o.found, o.lines), detecttest.Share(o.any, o.lines), detecttest.Share(o.right, o.said))
			if c.name == "test" && (float64(o.found) < minRecall*float64(o.lines) || float64(o.right) < minPrecision*float64(o.said) ||
				label == "any" && float64(o.any) < minAny*float64(o.lines)) {
				t.Errorf("%s is below its floor: %+v", label, *o)
			}
		}
		t.Log(b.String())
	}
}
