package secrets

import (
	"slices"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// What gitleaks' rules say is one line of the table; a hit is right only if it is the right rule's.
func TestQuality(t *testing.T) {
	detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95, func(label string) string {
		if label == strings.ToLower(label) {
			return "rules of gitleaks"
		}
		return label
	})
}

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"password=", "password: aB3$", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJa.eyJb.", "a", "=", ":", "sk-", "sk-a1", "ghp_", "x://a:", "://", "basic ", " is ", "token is ", "é", "\xff", "é=", "1", "12345678:AA",
		"glpat-", "curl ", "curl -u ab:cd ", "jira ", "twitter='", "eyJrIjoi", "s.", "live_pub", "pypi-AgEIcHlwaS5vcmc", "airtable pat",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

func TestPlaces(t *testing.T) {
	const body = "7fKq2mZx9RtYw4LbVc8NpJd3HsGa6TeUo1Xi"
	detecttest.Places(t, New(), "ghp_"+body[:36], "AKIA"+"ABCDEFGQRST23456", "glpat-"+body[:20])
}

// Whatever is in a content, its labels are not more than the mapper takes at once, nothing found is lost, and it is the
// same every time.
func TestManyProviders(t *testing.T) {
	examples, err := detecttest.Load("testdata/corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range examples {
		if len(e.Want) > 0 {
			all = append(all, e.Text)
		}
	}
	content := strings.Join(all, "\n\n")
	hits := detecttest.Check(t, New(), content)
	if again := detecttest.Check(t, New(), content); !slices.Equal(hits, again) {
		t.Error("not the same twice")
	}
	labels := map[string]bool{}
	for _, h := range hits {
		labels[h.Label] = true
	}
	if len(labels) < maxNames || len(labels) > wire.MaxFindings || len(hits) < 250 {
		t.Errorf("%d labels, %d hits", len(labels), len(hits))
	}
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }

// BenchmarkFirst makes a detector and has it read the first content, for which the expressions that it needs are
// compiled.
func BenchmarkFirst(b *testing.B) {
	content := detecttest.Prose()
	for b.Loop() {
		if _, err := New().Detect(b.Context(), content); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNew only makes it.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New()
	}
}
