package secrets

import (
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

func TestQuality(t *testing.T) { detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95) }

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"password=", "password: aB3$", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJa.eyJb.", "a", "=", ":", "sk-", "sk-a1", "ghp_", "x://a:", "://", "basic ", " is ", "token is ", "é", "\xff", "é=", "1", "12345678:AA",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

func TestPlaces(t *testing.T) {
	const body = "7fKq2mZx9RtYw4LbVc8NpJd3HsGa6TeUo1Xi"
	detecttest.Places(t, New(), "ghp_"+body[:36], "AKIA"+"ABCDEFGQRST23456", "glpat-"+body[:20])
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
