//go:build llama

package mapper

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// little appends values in GGUF's form: numbers in little-endian order, texts with their length in front.
func little(to []byte, values ...any) []byte {
	for _, v := range values {
		if s, ok := v.(string); ok {
			to = append(binary.LittleEndian.AppendUint64(to, uint64(len(s))), s...)
			continue
		}
		var err error
		if to, err = binary.Append(to, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return to
}

// matrices ends a GGUF file with matrices of noise, and vectors of ones; shapes has the fastest dimension first.
func matrices(head []byte, names []string, shapes [][]uint64) []byte {
	var data []float32
	random := rand.New(rand.NewPCG(1, 2))
	for i, shape := range shapes {
		head = little(head, names[i], uint32(len(shape)), shape, uint32(0), uint64(4*len(data)))
		n := shape[0]
		if len(shape) == 2 {
			n *= shape[1]
		}
		for range n {
			x := float32(1)
			if len(shape) == 2 {
				x = float32(random.NormFloat64()) / 6
			}
			data = append(data, x)
		}
		data = append(data, make([]float32, -len(data)&7)...) // the next one begins at a multiple of 32 bytes
	}
	return little(append(head, make([]byte, -len(head)&31)...), data)
}

// tinyLlama3 writes a Llama of noise with the real vocabulary of Llama 3, which llama.cpp's source has, and a LoRA for it.
func tinyLlama3(t *testing.T, dir string) {
	t.Helper()
	src, err := exec.Command("../../llama/build.sh", "source").Output()
	if err != nil {
		t.Fatal(err)
	}
	vocabulary, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(src)), "models", "ggml-vocab-llama-bpe.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	const width, tokens = 32, 128256
	for key, value := range map[string]uint32{
		"block_count": 1, "embedding_length": width, "feed_forward_length": 64, "attention.head_count": 2, "attention.head_count_kv": 1, "rope.dimension_count": width / 2,
	} {
		at := bytes.Index(vocabulary, little(nil, "llama."+key, uint32(4)))
		if at < 0 {
			t.Fatalf("the vocabulary file has no llama.%s", key)
		}
		binary.LittleEndian.PutUint32(vocabulary[at+8+len("llama."+key)+4:], value)
	}
	names := []string{"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight",
		"blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"}
	base := matrices(vocabulary, names, [][]uint64{{width, tokens}, {width}, {width}, {width}, {width, width}, {width, 16}, {width, 16}, {width, width}, {width, 64}, {width, 64}, {64, width}})
	binary.LittleEndian.PutUint64(base[8:], uint64(len(names)))
	lora := matrices(little([]byte("GGUF"), uint32(3), uint64(2), uint64(4), "general.architecture", uint32(8), "llama", "general.type", uint32(8), "adapter",
		"adapter.type", uint32(8), "lora", "adapter.lora.alpha", uint32(6), float32(8)),
		[]string{"blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"}, [][]uint64{{width, 4}, {4, width}})
	lexicon := "credit card number\tPII.Identifier.CreditCard\nus ssn\tPII.Identifier.SSN\n"
	for name, content := range map[string][]byte{"base-f16.gguf": base, "mapper-lora-f16.gguf": lora, "lexicon.tsv": []byte(lexicon)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

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
	tinyLlama3(t, dir)
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
