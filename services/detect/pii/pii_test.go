package pii

import (
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

func TestQuality(t *testing.T) { detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95) }

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"4111 1111 1111 1112 ", "1", "a@", "@", "a.", "1.2.3.4.", "a:b:", "ff:ff:", "+1", "+1 202 555 0123 ", "DE89 3704 0044 0532 0130 01 ", "phone 1 ", "ssn 078051120 ", "1-2-", "é", "\xff",
		"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLx ", "12.03.1980 born ", "(((((((", "a b ",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

func TestPlaces(t *testing.T) {
	detecttest.Places(t, New(), "jo@example.com", "4111 1111 1111 1111", "DE89370400440532013000", "+44 20 7946 0958", "198.51.100.23")
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
