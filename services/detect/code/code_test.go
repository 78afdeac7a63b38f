package code

import (
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
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

func TestPlaces(t *testing.T) {
	detecttest.Places(t, New(), "rm -rf /*", "xp_cmdshell", "<script>alert(1)</script>", "/dev/tcp/203.0.113.5/4444")
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
