// Package detecttest measures and checks detectors, for their tests.
package detecttest

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Example is a text and what is to be found in it: nothing, in a negative.
type Example struct {
	Line int
	Text string
	Want []detect.Hit // Label, Start, End
}

// The marks of a corpus. Split is in the middle of what only looks like a secret, so that scanners of repositories
// do not report it, and is dropped.
const (
	open, shut, split = "⟦", "⟧", "‖"
)

// Load reads a corpus: a line has labels, comma-separated or "-", a tab, and a text in which each ⟦span⟧ has the
// label of its turn. \n, \t and \r in a text are what they are in Go.
func Load(path string) ([]Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Example
	scanner := bufio.NewScanner(f)
	for line := 1; scanner.Scan(); line++ {
		s := strings.ReplaceAll(scanner.Text(), split, "")
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		labels, text, ok := strings.Cut(s, "\t")
		if !ok {
			return nil, fmt.Errorf("%s:%d: no tab", path, line)
		}
		e, err := parse(labels, strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(text))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		e.Line = line
		all = append(all, e)
	}
	return all, scanner.Err()
}

func parse(labels, text string) (Example, error) {
	var e Example
	var b strings.Builder
	for _, label := range strings.Split(labels, ",") {
		if label == "-" {
			break
		}
		before, rest, ok1 := strings.Cut(text, open)
		inside, after, ok2 := strings.Cut(rest, shut)
		if !ok1 || !ok2 {
			return e, fmt.Errorf("no span for %s", label)
		}
		b.WriteString(before)
		e.Want = append(e.Want, detect.Hit{Label: label, Start: b.Len(), End: b.Len() + len(inside)})
		b.WriteString(inside)
		text = after
	}
	if strings.Contains(text, open) {
		return e, fmt.Errorf("a span has no label")
	}
	b.WriteString(text)
	e.Text = b.String()
	return e, nil
}

// Count is what became of a label.
type Count struct {
	Right, Wrong, Missed int
}

// Precision is the share of what was said that is right, with its 95 % interval.
func (c Count) Precision() (p, lo, hi float64) { return Wilson(c.Right, c.Right+c.Wrong) }

// Recall is the share of what is there that was said, with its 95 % interval.
func (c Count) Recall() (p, lo, hi float64) { return Wilson(c.Right, c.Right+c.Missed) }

// Wilson is a share and its 95 % score interval. Nothing of nothing may be anything.
func Wilson(k, n int) (p, lo, hi float64) {
	if n == 0 {
		return math.NaN(), 0, 1
	}
	const z = 1.959964
	N := float64(n)
	p = float64(k) / N
	mid := (p + z*z/(2*N)) / (1 + z*z/N)
	half := z / (1 + z*z/N) * math.Sqrt(p*(1-p)/N+z*z/(4*N*N))
	return p, max(0, mid-half), min(1, mid+half)
}

// Result is how a detector does on a corpus.
type Result struct {
	Labels   map[string]*Count
	All      Count
	Examples int
	Negative int      // examples with nothing in them
	Mistakes []string // one a line, without content: where to look
}

// overlap says whether two spans share at least half of what they cover.
func overlap(a, b detect.Hit) bool {
	both := min(a.End, b.End) - max(a.Start, b.Start)
	return both > 0 && 2*both >= max(a.End, b.End)-min(a.Start, b.Start)
}

// Measure asks a detector for every example. A hit is right if it has the label of a wanted span and shares at least
// half of it.
func Measure(d detect.Detector, examples []Example) (Result, error) {
	r := Result{Labels: map[string]*Count{}, Examples: len(examples)}
	count := func(label string) *Count {
		if r.Labels[label] == nil {
			r.Labels[label] = &Count{}
		}
		return r.Labels[label]
	}
	for _, e := range examples {
		if len(e.Want) == 0 {
			r.Negative++
		}
		hits, err := d.Detect(context.Background(), e.Text)
		if err != nil {
			return r, err
		}
		taken := make([]bool, len(hits))
		for _, want := range e.Want {
			i := slices.IndexFunc(hits, func(h detect.Hit) bool { return h.Label == want.Label && overlap(h, want) })
			if i >= 0 && !taken[i] {
				taken[i] = true
				count(want.Label).Right++
				continue
			}
			count(want.Label).Missed++
			r.Mistakes = append(r.Mistakes, fmt.Sprintf("line %d: missed %s at %d to %d", e.Line, want.Label, want.Start, want.End))
		}
		for i, h := range hits {
			if !taken[i] {
				count(h.Label).Wrong++
				r.Mistakes = append(r.Mistakes, fmt.Sprintf("line %d: wrong %s at %d to %d, %.2f: %s", e.Line, h.Label, h.Start, h.End, h.Score, h.Rule))
			}
		}
	}
	for _, c := range r.Labels {
		r.All.Right, r.All.Wrong, r.All.Missed = r.All.Right+c.Right, r.All.Wrong+c.Wrong, r.All.Missed+c.Missed
	}
	return r, nil
}

// Table is the result in Markdown, with a line for each label, or for each name that rows gives them.
func (r Result) Table(rows ...func(label string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d examples, %d of them with nothing to find.\n\n", r.Examples, r.Negative)
	b.WriteString("| label | right | wrong | missed | precision | recall |\n|--|--|--|--|--|--|\n")
	row := func(label string, c Count) {
		share := func(p, lo, hi float64) string {
			if math.IsNaN(p) {
				return "none"
			}
			return fmt.Sprintf("%.3f (%.2f to %.2f)", p, lo, hi)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s |\n", label, c.Right, c.Wrong, c.Missed, share(c.Precision()), share(c.Recall()))
	}
	lines := map[string]Count{}
	for label, c := range r.Labels {
		for _, name := range rows {
			label = name(label)
		}
		l := lines[label]
		lines[label] = Count{l.Right + c.Right, l.Wrong + c.Wrong, l.Missed + c.Missed}
	}
	for _, label := range slices.Sorted(maps.Keys(lines)) {
		row(label, lines[label])
	}
	row("**all**", r.All)
	return b.String()
}
