package code

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
	"pgregory.net/rapid"
)

func TestQuality(t *testing.T) { detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95) }

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"'", "' or ", "or 1=", "union select ", ";", "; drop table", "curl a ", "curl x |", "rm -rf ", "nc -", "$(", "`", "eval(", "{{", "${${", "../", "<script>", "onerror=", "javascript:", "x = 1;\n", "```\n", "(", "\n", "é", "\xff", "%2e%2e/", "and 1=1 ", "powershell ", "subprocess.",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

// Whatever surrounds a number, its place is right in bytes and in code points.
func TestPlaces(t *testing.T) {
	d := New()
	rapid.Check(t, func(t *rapid.T) {
		glue := rapid.SampledFrom([]string{" ", "\n", "é ", "日本 ", "\xff ", "🙂 ", ", ", "\u0301 ", "phone: ", "word "})
		found := rapid.SampledFrom([]string{"rm -rf /*", "xp_cmdshell", "<script>alert(1)</script>", "/dev/tcp/203.0.113.5/4444"}).Draw(t, "found")
		before, after := strings.Join(rapid.SliceOf(glue).Draw(t, "before"), ""), strings.Join(rapid.SliceOf(glue).Draw(t, "after"), "")
		text := before + " " + found + " " + after
		hits := detecttest.Check(t, d, text)
		for _, h := range hits {
			if text[h.Start:h.End] == found {
				return
			}
		}
		t.Fatalf("%q is not found in %q: %v", found, text, hits)
	})
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New().Detect(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzDetect(f *testing.F) {
	examples, err := detecttest.Load("testdata/corpus.tsv")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range examples {
		f.Add(e.Text)
	}
	d := New()
	f.Fuzz(func(t *testing.T, content string) { detecttest.Check(t, d, content) })
}

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
