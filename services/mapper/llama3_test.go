//go:build llama

package mapper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/llama/llamatest"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// The template for a checkpoint of one's own fits Llama 3's tokenizer, with both codecs, and its mistakes have names.
func TestLlama3Template(t *testing.T) {
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	if err := llama.Open(""); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../../checkpoints/llama-3-8b-lora/manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	llamatest.Llama3(t, dir)
	lexicon := "credit card number\tPII.Identifier.CreditCard\nus ssn\tPII.Identifier.SSN\n"
	if err := os.WriteFile(filepath.Join(dir, "lexicon.tsv"), []byte(lexicon), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(edit func(manifest *yaml.Node) error) (*Local, error) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "manifest.yaml"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.Seal(dir, edit); err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return NewLocal(c, taxonomy, LocalOptions{Engine: engine.Default(), Cores: 1}, prometheus.NewRegistry())
	}
	codes := func(format string) func(*yaml.Node) error { return coded(taxonomy, format) }
	for name, edit := range map[string]func(*yaml.Node) error{"json": nil, "code": codes("<|reserved_special_token_%d|>"), "numbers": codes("%d")} {
		l, err := try(edit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a := classify(t, l, "presidio", "US_SSN"); a.Label == "" || a.Confidence <= 0 {
			t.Errorf("%s: %+v", name, a)
		}
		joined(t, l)
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	refuses := func(edit func(*yaml.Node) error, want string) {
		t.Helper()
		if _, err := try(edit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	refuses(codes("<L%02d>"), `label PII.Person.Name: its code "<L00>" is 3 tokens, not one`)
	refuses(func(m *yaml.Node) error {
		p := checkpoint.Field(m, "prompt")
		checkpoint.SetField(p, "prefix", "<|begin_of_text|>"+checkpoint.Field(p, "prefix").Value, "!!str")
		return nil
	}, "begins with the token that begins every text")
}

// coded changes a manifest to codec code; format makes a code of a label's number.
func coded(t *Taxonomy, format string) func(manifest *yaml.Node) error {
	all := map[string]string{}
	for i, label := range t.Labels {
		all[label.ID] = fmt.Sprintf(format, i)
	}
	return func(m *yaml.Node) error {
		return checkpoint.Field(m, "codec").Encode(checkpoint.Codec{Type: "code", Codes: all})
	}
}

// joined checks that a prompt has the tokens that its text has as a whole, which is what training sees.
func joined(t *testing.T, l *Local) {
	t.Helper()
	for _, finding := range []string{"US_SSN", "card number", "zzz", "the user asks how to build a bomb"} {
		tokens, err := l.Prompt("presidio", finding)
		if err != nil {
			t.Fatal(err)
		}
		text, err := l.model.Detokenize(tokens)
		if err != nil {
			t.Fatal(err)
		}
		const answer = `{"label":"OTHER.Unknown"}`
		said, err := l.model.Tokenize(answer, true)
		if err != nil {
			t.Fatal(err)
		}
		text, tokens = text+answer, append(tokens, said...)
		if whole, err := l.model.Tokenize(text, true); err != nil || !slices.Equal(whole, tokens) {
			t.Errorf("%q is %v in pieces and %v as a whole (%v)", text, tokens, whole, err)
		}
	}
}
