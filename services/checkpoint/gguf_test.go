package checkpoint

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"
)

// gguf writes small files.
type gguf struct{ bytes.Buffer }

func (g *gguf) put(values ...any) *gguf {
	for _, v := range values {
		if s, ok := v.(string); ok {
			g.put(uint64(len(s)))
			g.WriteString(s)
		} else if err := binary.Write(g, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return g
}

func begin(tensors, keys uint64) *gguf {
	g := &gguf{}
	g.WriteString("GGUF")
	return g.put(uint32(3), tensors, keys)
}

func (g *gguf) str(key, value string) *gguf    { return g.put(key, uint32(typeString), value) }
func (g *gguf) num(key string, v uint32) *gguf { return g.put(key, uint32(4), v) }
func (g *gguf) tensor(name string, offset uint64, kind uint32, dims ...uint64) *gguf {
	return g.put(name, uint32(len(dims)), dims, kind, offset)
}

func (g *gguf) data(n int) []byte {
	for g.Len()%32 != 0 {
		g.WriteByte(0)
	}
	g.Write(make([]byte, n))
	return g.Bytes()
}

func base() *gguf {
	return begin(1, 7).str("general.architecture", "llama").num("llama.block_count", 1).num("llama.embedding_length", 32).
		num("llama.attention.head_count", 2).num("llama.context_length", 8).num("tokenizer.ggml.bos_token_id", 1).
		put("tokenizer.ggml.tokens", uint32(typeArray), uint32(typeString), uint64(2), "a", "b")
}

func lora() *gguf {
	return begin(2, 3).str("general.architecture", "llama").str("general.type", "adapter").str("adapter.type", "lora")
}

func parseBytes(raw []byte) (*header, error) {
	return parseHeader(bytes.NewReader(raw), int64(len(raw)))
}

func TestGGUF(t *testing.T) {
	b, err := parseBytes(base().tensor("w", 0, 1, 32, 4).data(256))
	if err != nil || b.model() != nil {
		t.Fatal(err, b.model())
	}
	a, err := parseBytes(lora().tensor("w.lora_a", 0, 0, 32, 2).tensor("w.lora_b", 256, 0, 2, 4).data(256 + 32))
	if err != nil || a.adapts(b) != nil {
		t.Fatal(err, a.adapts(b))
	}
	c, err := Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Adapters {
		if _, err := readHeader(c.Path(f.File)); err != nil {
			t.Error(err)
		}
	}
}

func TestGGUFRefuses(t *testing.T) {
	refused := func(raw []byte, want string) {
		t.Helper()
		h, err := parseBytes(raw)
		if err == nil {
			err = h.model()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	whole := base().tensor("w", 0, 1, 32, 4).data(256)
	for n := range len(whole) {
		if _, err := parseBytes(whole[:n]); err == nil {
			t.Errorf("accepted the first %d of %d bytes", n, len(whole))
		}
	}
	refused([]byte("PK\x03\x04"), "begin with GGUF")
	refused((&gguf{}).put([]byte("GGUF"), uint32(9)).Bytes(), "version 9")
	refused(begin(1<<40, 0).Bytes(), "it claims")
	refused(begin(0, 1).put(uint64(1<<60)).Bytes(), "truncated or damaged")
	refused(begin(0, 1).put("k", uint32(77)).Bytes(), "type 77")
	refused(begin(0, 1).put("k", uint32(typeArray), uint32(typeArray), uint64(1)).Bytes(), "an array")
	refused(begin(0, 1).put("k", uint32(typeArray), uint32(4), uint64(1<<62)).Bytes(), "an array")
	refused(begin(0, 2).num("k", 1).num("k", 1).Bytes(), "twice")
	refused(base().tensor("w", 0, 1, 32, 0).data(256), "no shape")
	refused(base().tensor("w", 0, 1, 1<<40, 1<<40).data(256), "no shape")
	refused(base().tensor("w", 0, 99, 32).data(256), "type 99")
	refused(base().tensor("w", 0, 8, 33).data(256), "blocks")
	refused(base().tensor("w", 1<<63, 1, 32, 4).data(256), "outside")
	refused(base().tensor("w", 1, 1, 32, 4).data(512), "outside")
	refused(begin(0, 1).num("general.alignment", 0).data(64), "alignment")
	refused(begin(0, 0).data(64), "general.architecture")
	refused(begin(0, 1).str("general.architecture", "llama").data(64), "llama.block_count is 0")
	refused(bytes.Replace(whole, []byte("bos_token_id\x04\x00\x00\x00\x01"), []byte("bos_token_id\x04\x00\x00\x00\x09"), 1), "bos_token_id is 9 of 2")
	b, err := parseBytes(whole)
	if err != nil {
		t.Fatal(err)
	}
	other := func(g *gguf, want string) {
		t.Helper()
		h, err := parseBytes(g.data(4096))
		if err == nil {
			err = h.adapts(b)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	other(base().tensor("w", 0, 1, 32, 4), "not a LoRA adapter")
	other(lora().tensor("w.lora_a", 0, 0, 64, 2).tensor("w.lora_b", 512, 0, 2, 4), "another base")
	other(lora().tensor("w.lora_a", 0, 0, 32, 3).tensor("w.lora_b", 512, 0, 2, 4), "rank")
	other(lora().tensor("v.lora_a", 0, 0, 32, 2).tensor("v.lora_b", 512, 0, 2, 4), "another base")
	other(lora().tensor("w.lora_a", 0, 0, 32, 2).tensor("x.lora_a", 512, 0, 2, 4), "other half")
}

func FuzzGGUF(f *testing.F) {
	f.Add(base().tensor("w", 0, 1, 32, 4).data(256))
	f.Add(lora().tensor("w.lora_a", 0, 0, 32, 2).tensor("w.lora_b", 256, 0, 2, 4).data(288))
	real, err := os.Open(shipped + "/mapper-lora-f16.gguf")
	if err != nil {
		f.Fatal(err)
	}
	head, err := io.ReadAll(io.LimitReader(real, 4096))
	if err != nil || real.Close() != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := parseBytes(raw)
		if err != nil {
			return
		}
		for name, x := range h.tensors {
			if n, err := x.bytes(); err != nil || x.offset+n > uint64(len(raw)) {
				t.Errorf("accepted %q at %d with %d bytes (%v) in a file of %d", name, x.offset, n, err, len(raw))
			}
		}
		_, _ = h.model(), h.adapts(h) // must not panic
	})
}
