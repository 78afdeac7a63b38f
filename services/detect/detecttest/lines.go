package detecttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// What follows is for detectors that are judged by whole lines, not by spans.

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

// Share prints k of n with its interval.
func Share(k, n int) string {
	if n == 0 {
		return "–"
	}
	share, low, high := Wilson(k, n)
	return fmt.Sprintf("%.3f (%.3f–%.3f) %d/%d", share, low, high, k, n)
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
