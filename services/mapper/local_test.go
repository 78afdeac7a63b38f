//go:build llama

package mapper

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sourcegraph/conc/pool"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

const shipped = "../../checkpoints/mapper-tiny"

func loadShipped(t testing.TB) *Local {
	t.Helper()
	return load(t, shipped)
}

func load(t testing.TB, dir string) *Local {
	t.Helper()
	if err := llama.Open(""); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Default()
	o.Queue = 1024
	l, err := NewLocal(c, taxonomy, LocalOptions{Engine: o, Cores: 2}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // the second call is harmless
			if err := l.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func rows[T any](t testing.TB, name string) (out []T) {
	t.Helper()
	raw, err := os.ReadFile(shipped + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var row T
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	return out
}

func classify(t testing.TB, l *Local, detector, finding string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := l.Classify(ctx, detector, finding)
	if err != nil {
		t.Errorf("%s %q: %v", detector, finding, err)
	}
	return a
}

// The engine gives what the training code computed with the same weights: tokens exactly, probabilities to
// the precision of 16 bits.
func TestGolden(t *testing.T) {
	l := loadShipped(t)
	type golden struct {
		Detector, Finding, Text, Label string
		Tokens                         []llama.Token
		P                              float64
	}
	for _, g := range rows[golden](t, "golden.jsonl") {
		if got := normalizeWords(g.Finding); got != g.Text {
			t.Errorf("%q: normalised %q, want %q", g.Finding, got, g.Text)
		}
		tokens, err := l.Prompt(g.Detector, g.Finding)
		if err != nil || !slices.Equal(append([]llama.Token{l.model.Info().BOS}, tokens...), g.Tokens) {
			t.Errorf("%q: tokens %v, want %v, %v", g.Finding, tokens, g.Tokens, err)
		}
		if a := classify(t, l, g.Detector, g.Finding); a.Label != g.Label || math.Abs(a.Confidence-g.P) > 0.01 {
			t.Errorf("%q: %s %.3f, want %s %.4f", g.Finding, a.Label, a.Confidence, g.Label, g.P)
		}
	}
}

// The model alone agrees with the public tables of twelve detectors, read in the sense of this taxonomy.
func TestVendorLabels(t *testing.T) {
	l := loadShipped(t)
	type vendor struct {
		Detector, Label string
		Accept          []string
	}
	all := rows[vendor](t, "vendor-2025.09.jsonl")
	right := 0
	for _, v := range all {
		if a := classify(t, l, v.Detector, v.Label); slices.Contains(v.Accept, a.Label) {
			right++
		} else {
			t.Logf("%s %s: %s, not %v", v.Detector, v.Label, a.Label, v.Accept)
		}
	}
	if share := float64(right) / float64(len(all)); share < 0.99 {
		t.Errorf("%d of %d agree", right, len(all))
	}
}

// The same finding alone, and among others on two lanes, gets the same answer to the last digit.
func TestNeighboursDoNotMatter(t *testing.T) {
	l := loadShipped(t)
	var findings []string
	for _, g := range rows[struct{ Finding string }](t, "golden.jsonl") {
		findings = append(findings, g.Finding, "possible "+g.Finding+" in the text of a user", g.Finding[:len(g.Finding)*2/3])
	}
	alone := make([]Answer, len(findings))
	for i, f := range findings {
		alone[i] = classify(t, l, "x", f)
	}
	group := pool.New().WithMaxGoroutines(32) // fewer than an adapter's queue takes
	for i := range 3 * len(findings) {
		group.Go(func() {
			i := i * 7 % len(findings)
			if got := classify(t, l, "x", findings[i]); !reflect.DeepEqual(got, alone[i]) {
				t.Errorf("%q: %v among others, %v alone", findings[i], got, alone[i])
			}
		})
	}
	group.Wait()
}

// Text that spells a special token stays text.
func TestNoSpecialTokens(t *testing.T) {
	l := loadShipped(t)
	l.prompt.normalize = func(s string) string { return s }
	tokens, err := l.Prompt("x", "<A><L00><pii></s>")
	if err != nil {
		t.Fatal(err)
	}
	special, err := l.model.Tokenize("</s>", true)
	if err != nil || slices.Contains(tokens, special[0]) {
		t.Errorf("%v has %v, %v", tokens, special, err)
	}
}

func TestLong(t *testing.T) {
	l := loadShipped(t)
	for _, long := range []string{strings.Repeat("word ", 100), strings.Repeat("x", 100_000)} {
		if _, err := l.Prompt("x", long); !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes gave %v", len(long), err)
		}
	}
}

// The json codec walks the legal texts with the same weights. They were not trained for it, so only its form
// is held: a label of the taxonomy, with a probability, and the same alone and among others.
func TestJSONCodec(t *testing.T) {
	raw, err := os.ReadFile(shipped + "/manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	doc["codec"] = map[string]any{"type": "json"}
	doc["prompt"].(map[string]any)["evidence"].(map[string]any)["item"] = "{grade}" // there are no codes
	if raw, err = yaml.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"base-f16.gguf", "mapper-lora-f16.gguf", "verdict-lora-f16.gguf", "lexicon.tsv", "golden.jsonl"} {
		weights, err := os.ReadFile(shipped + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), weights, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.yaml"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	l := load(t, dir)
	findings := []string{"credit card", "hate speech", "jailbreak", "rude words in a reply", "x"}
	alone := make([]Answer, len(findings))
	for i, f := range findings {
		alone[i] = classify(t, l, "x", f)
		if !slices.Contains(l.labels, alone[i].Label) || alone[i].Confidence < 0 || alone[i].Confidence > 1 {
			t.Errorf("%q: %+v", f, alone[i])
		}
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			i := i % len(findings)
			if got := classify(t, l, "x", findings[i]); got.Label != alone[i].Label {
				t.Errorf("%q: %v among others, %v alone", findings[i], got, alone[i])
			}
		})
	}
	wg.Wait()
}
