package urls

import (
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

func TestQuality(t *testing.T) { detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95) }

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"http://", "http://a", "http://a.", "http://a.b ", "www.", "www.a ", ":", "javascript:", "javascript:a(", "data:,", "data:text/html,", "(", "http://a@", "http://xn--a-b.c ", "http://a.b/?u=", "http://a.b/?u=http://c.d&", "![](http://a.b/?q=", "é", "\xff", "http://é.é",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

func TestPlaces(t *testing.T) {
	detecttest.Places(t, New(), "https://www.example.com/a?b=c", "http://203.0.113.7/x", "https://пример.example/путь")
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
