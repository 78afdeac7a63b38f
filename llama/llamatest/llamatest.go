// Package llamatest makes models of noise for tests: what they say means nothing, but their form is real.
package llamatest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
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

// Llama3 writes base-f16.gguf, a Llama of noise with the real vocabulary of Llama 3, which llama.cpp's source has, and
// mapper-lora-f16.gguf, a LoRA for it.
func Llama3(t testing.TB, dir string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	src, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(here), "..", "build.sh"), "source").Output() //nolint:gosec // it is ours
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
	for name, content := range map[string][]byte{"base-f16.gguf": base, "mapper-lora-f16.gguf": lora} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
