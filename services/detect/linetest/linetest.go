// Package linetest has what detectors are tested for that are judged by whole lines, not by spans: quality on a corpus
// with its uncertainty, spans that are right, no piece of the content in a hit, time linear in the content's length.
package linetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Line is one line of a corpus.
type Line struct {
	Template, Head string   // what it was made of; no two corpora of a detector share them
	Labels         []string // none: there is nothing to find
	Text           string
}

// Corpus reads lines of four columns: template, head word (- is none), labels with commas (- is none), the text as a
// JSON string.
func Corpus(t testing.TB, path string) []Line {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []Line
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		c := strings.Split(s.Text(), "\t")
		if len(c) != 4 {
			t.Fatalf("%s: %d columns in %q", path, len(c), s.Text())
		}
		l := Line{Template: c[0], Head: c[1]}
		if c[2] != "-" {
			l.Labels = strings.Split(c[2], ",")
		}
		if err := json.Unmarshal([]byte(c[3]), &l.Text); err != nil {
			t.Fatalf("%s: %v in %q", path, err, s.Text())
		}
		out = append(out, l)
	}
	return out
}

// Apart fails if two corpora share a template or a head word.
func Apart(t testing.TB, train, test []Line) {
	t.Helper()
	seen := map[string]bool{}
	for _, l := range train {
		seen["t:"+l.Template], seen["h:"+l.Head], seen["x:"+l.Text] = true, l.Head != "-", true
	}
	for _, l := range test {
		if seen["t:"+l.Template] || seen["h:"+l.Head] || seen["x:"+l.Text] {
			t.Errorf("both corpora have %s %s: %q", l.Template, l.Head, l.Text)
		}
	}
}

// Wilson is the 95 % interval of a share of which k of n were seen.
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	mid, half := p+z*z/(2*m), z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, (mid-half)/(1+z*z/m)), min(1, (mid+half)/(1+z*z/m))
}

// Share prints k of n with its interval.
func Share(k, n int) string {
	if n == 0 {
		return "–"
	}
	low, high := Wilson(k, n)
	return fmt.Sprintf("%.3f (%.3f–%.3f) %d/%d", float64(k)/float64(n), low, high, k, n)
}

// Best are the highest scores by label; "" has the highest of all.
func Best(t testing.TB, d detect.Detector, content string) map[string]float64 {
	t.Helper()
	hits, err := d.Detect(context.Background(), content)
	if err != nil {
		t.Fatal(err)
	}
	best := map[string]float64{}
	for _, h := range hits {
		best[h.Label] = max(best[h.Label], h.Score)
		best[""] = max(best[""], h.Score)
	}
	return best
}

// Sound fails unless the hits of any content are ordered, known by label, within it, and right in code points.
func Sound(t interface{ Fatalf(string, ...any) }, d detect.Detector, content string) {
	hits, err := d.Detect(context.Background(), content)
	if err != nil {
		t.Fatalf("%v", err)
	}
	labels := d.Labels()
	for i, h := range hits {
		switch {
		case i > 0 && h.Start < hits[i-1].Start:
			t.Fatalf("%+v comes after %+v", h, hits[i-1])
		case h.Start < 0 || h.End <= h.Start || h.End > len(content):
			t.Fatalf("%+v of %d bytes", h, len(content))
		case h.RuneStart != utf8.RuneCountInString(content[:h.Start]) || h.RuneEnd != utf8.RuneCountInString(content[:h.End]):
			t.Fatalf("code points of %+v", h)
		case utf8.ValidString(content) && (!utf8.RuneStart(content[h.Start]) || h.End < len(content) && !utf8.RuneStart(content[h.End])):
			t.Fatalf("%+v cuts a code point", h)
		case !(h.Score > 0 && h.Score <= 1):
			t.Fatalf("score of %+v", h)
		case !slices.Contains(labels, h.Label):
			t.Fatalf("label of %+v", h)
		}
	}
}

// Silent fails if a hit of the content has one of the words that only the content has.
func Silent(t testing.TB, d detect.Detector, content string, canaries ...string) {
	t.Helper()
	hits, err := d.Detect(context.Background(), content)
	if err != nil {
		t.Fatal(err)
	}
	if len(hits) == 0 {
		t.Error("nothing found, nothing shown")
	}
	said := strings.ToLower(fmt.Sprintf("%+v", hits))
	for _, c := range canaries {
		if strings.Contains(said, strings.ToLower(c)) {
			t.Errorf("%s is in %s", c, said)
		}
	}
}

// Linear fails if content of so many bytes takes much more than four times as long as a quarter of it. It compares the
// best of a few runs, so a busy machine does not matter much.
func Linear(t testing.TB, d detect.Detector, unit string, size int) {
	t.Helper()
	const times, most = 4, 12.0
	run := func(n, runs int) time.Duration {
		content := strings.Repeat(unit, n/len(unit)+1)
		best := time.Duration(math.MaxInt64)
		for range runs {
			begin := CPU(t)
			if _, err := d.Detect(context.Background(), content); err != nil {
				t.Fatal(err)
			}
			best = min(best, CPU(t)-begin)
		}
		return best
	}
	a, b := run(size/times, 3), run(size, 2)
	t.Logf("%.30q: %v for %d KB, %v for %d KB", unit, a, size/times>>10, b, size>>10)
	if ratio := float64(b) / float64(a); ratio > most {
		t.Errorf("%.30q: %d times the length took %.1f times as long: %v, %v", unit, times, ratio, a, b)
	}
}

// CPU is the time that this process has had of the processors.
func CPU(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
