package detecttest

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Quality prints how a detector does on a corpus, and fails if its precision or its recall is below what is stated.
// A label with fewer than five spans fails only by the sum. What is printed has a line for each label, or for each name
// that rows gives them.
func Quality(t *testing.T, d detect.Detector, corpus string, precision, recall float64, rows ...func(label string) string) {
	t.Helper()
	examples, err := Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) < 150 {
		t.Errorf("%s has %d examples, too few", corpus, len(examples))
	}
	r, err := Measure(d, examples)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s\n\n%s\n%s", d.Name(), d.Version(), r.Table(rows...), strings.Join(r.Mistakes, "\n"))
	r.Labels["all"] = &r.All
	for label, c := range r.Labels {
		if c.Right+c.Missed < 5 {
			continue
		}
		floor := 0.2 // a label alone is few examples
		if label == "all" {
			floor = 0
		}
		if p, _, _ := c.Precision(); p < precision-floor {
			t.Errorf("%s: precision %.3f, want %.3f", label, p, precision-floor)
		}
		if p, _, _ := c.Recall(); p < recall-floor {
			t.Errorf("%s: recall %.3f, want %.3f", label, p, recall-floor)
		}
	}
}

// T is what Check needs of a test, a fuzz target or a property.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Check is what holds for whatever content: places are in it and between its code points, in order, in bytes as in
// code points; labels are known ones; and nothing of the content is in a hit.
func Check(t T, d detect.Detector, content string) []detect.Hit {
	t.Helper()
	hits, err := d.Detect(context.Background(), content)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, h := range hits {
		if h.Start < last || h.End <= h.Start || h.End > len(content) {
			t.Fatalf("%s: %d to %d after %d, of %d", h.Label, h.Start, h.End, last, len(content))
		}
		last = h.Start
		if n := utf8.RuneCountInString(content[:h.Start]); n != h.RuneStart {
			t.Fatalf("%s: starts at code point %d, want %d", h.Label, h.RuneStart, n)
		}
		if n := utf8.RuneCountInString(content[:h.End]); n != h.RuneEnd {
			t.Fatalf("%s: ends at code point %d, want %d", h.Label, h.RuneEnd, n)
		}
		if utf8.ValidString(content) && (!utf8.RuneStart(content[h.Start]) || h.End < len(content) && !utf8.RuneStart(content[h.End])) {
			t.Fatalf("%s: cuts a code point", h.Label)
		}
		if !slices.Contains(d.Labels(), h.Label) {
			t.Fatalf("says %q, which is not among its labels", h.Label)
		}
		if !(h.Score > 0 && h.Score <= 1) || math.IsNaN(h.Score) {
			t.Fatalf("%s: score %v", h.Label, h.Score)
		}
		if h.Rule == "" || len(h.Rule) > 200 {
			t.Fatalf("%s: rule %q", h.Label, h.Rule)
		}
	}
	return hits
}

// Canary fails if a hit in an example carries any of what it found. Words that rules use themselves do not count.
func Canary(t *testing.T, d detect.Detector, corpus string) {
	t.Helper()
	examples, err := Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for _, e := range examples {
		for _, h := range Check(t, d, e.Text) {
			hits++
			for word := range strings.FieldsFuncSeq(e.Text[h.Start:h.End], func(r rune) bool { return strings.ContainsRune(" \t\n=:/@.;,'\"()&?", r) }) {
				if len(word) >= 6 && strings.ContainsAny(word, "0123456789") && strings.Contains(h.Rule, word) {
					t.Errorf("line %d: the rule of %s carries content", e.Line, h.Label)
				}
			}
		}
	}
	if hits == 0 {
		t.Error("found nothing")
	}
}

// Linear fails if work grows much faster than content does, from 64 KB to 1 MB: quadratic work would take 256 times as
// long for the larger one, linear work 16 times.
func Linear(t *testing.T, d detect.Detector, unit string) {
	t.Helper()
	grows(t, d, unit, 1<<20, 16, 64)
}

// LinearTo is Linear from a quarter of a size to the size, where quadratic work would take 16 times as long.
func LinearTo(t *testing.T, d detect.Detector, unit string, size int) {
	t.Helper()
	grows(t, d, unit, size, 4, 12)
}

// grows compares processor time, so that a slow or busy machine passes.
func grows(t *testing.T, d detect.Detector, unit string, size, times int, limit time.Duration) {
	t.Helper()
	took := func(size int) time.Duration {
		content := strings.Repeat(unit, size/len(unit)+1)[:size]
		best := time.Duration(math.MaxInt64)
		for range 3 {
			runtime.GC() // which counts as processor time too
			before := CPU()
			if _, err := d.Detect(context.Background(), content); err != nil {
				t.Fatal(err)
			}
			best = min(best, CPU()-before)
			if best > time.Second {
				break
			}
		}
		return max(best, 100*time.Microsecond)
	}
	a, b := took(size/times), took(size)
	for again := 0; b > limit*a && again < 3; again++ { // others may have had the processor
		a, b = took(size/times), took(size)
	}
	if b > limit*a {
		t.Errorf("%.20q: %v for %d bytes, %v for %d", unit, a, size/times, b, size)
	}
	t.Logf("%.20q: %v for %d KB, %v for %d KB", unit, a, size/times>>10, b, size>>10)
}

// Cancelled fails unless a detector heeds its context.
func Cancelled(t *testing.T, d detect.Detector) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Detect(ctx, "jo@example.com"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Places fails unless a piece that is to be found is found whole, whatever surrounds it.
func Places(t *testing.T, d detect.Detector, pieces ...string) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		glue := rapid.SampledFrom([]string{" ", "\n", "é ", "日本 ", "\xff ", "🙂 ", ", ", "\u0301 ", "phone: ", "word "})
		found := rapid.SampledFrom(pieces).Draw(t, "found")
		before, after := strings.Join(rapid.SliceOf(glue).Draw(t, "before"), ""), strings.Join(rapid.SliceOf(glue).Draw(t, "after"), "")
		text := before + " " + found + " " + after
		hits := Check(t, d, text)
		for _, h := range hits {
			if text[h.Start:h.End] == found {
				return
			}
		}
		t.Fatalf("%q is not found in %q: %v", found, text, hits)
	})
}

// Fuzz checks whatever content, beginning with a corpus.
func Fuzz(f *testing.F, d detect.Detector, corpus string) {
	examples, err := Load(corpus)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range examples {
		f.Add(e.Text)
	}
	f.Fuzz(func(t *testing.T, content string) { Check(t, d, content) })
}

// Prose is some 10 KB of what people write, with a few of everything in it, for benchmarks.
func Prose() string {
	const page = `Dear team, thank you for the notes of Tuesday. The order 4471-220 of 12 pallets left the warehouse at 14:30 and the
carrier says it will be in Rotterdam by Friday, 27.11.2026; the invoice (EUR 12,400.50) is attached. Please check whether the access
list of the new building is right: the key for room 3.141 was not returned. If the token for the parking machine does not work, call
the desk. "We cannot keep 100 % of the stock here," she wrote, "and the password policy says ninety days." Version 2.14.3 of the
scanner firmware fixed the crash; see section 4.2 on page 118 and the table below. SELECT the right form from the list, then
drop it in the box at the door. My address is jo.example@example.com and the phone is +44 20 7946 0958, the office is open from
9 to 17. The sensor at 192.0.2.17 sends 1024 samples a second; its id is 7f3a-99c1 and its name is pump-west-12.
See https://www.example.com/docs/index.html?page=3 for the plan. for i := 0; i < 10; i++ { total += price[i] } is all it does.
The committee meets again in 2027, and the figures are: 1,204 members, 87 sites, 3.5 million euros, and a margin of 4.75 per cent.
`
	return strings.Repeat(page, 10240/len(page)+1)[:10240]
}

// Benchmark runs a detector over Prose.
func Benchmark(b *testing.B, d detect.Detector) {
	content := Prose()
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	before := CPU()
	for b.Loop() {
		if _, err := d.Detect(context.Background(), content); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(CPU()-before)/float64(b.N)/1e6, "cpu-ms/op")
}
