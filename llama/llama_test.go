//go:build llama

package llama

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests use the shipped checkpoint: real weights, a real vocabulary, a real adapter.
const (
	basePath    = "../checkpoints/mapper-tiny/base-f16.gguf"
	adapterPath = "../checkpoints/mapper-tiny/mapper-lora-f16.gguf"
)

var testOptions = ContextOptions{Cells: 512, Batch: 128, Outputs: 8, Sequences: 8, Threads: 1}

func load(t *testing.T) *Model {
	t.Helper()
	if err := Open(""); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(basePath, ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, m) })
	return m
}

func newContext(t *testing.T, m *Model, o ContextOptions) *Context {
	t.Helper()
	x, err := m.NewContext(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, x) })
	return x
}

func mustClose(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	for range 2 { // the second call is harmless
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func tokens(t *testing.T, m *Model, text string) []Token {
	t.Helper()
	out, err := m.Tokenize(text, false)
	if err != nil {
		t.Fatal(err)
	}
	return append([]Token{m.Info().BOS}, out...)
}

// run decodes tokens as sequence seq from position from, and returns the last row's logits of all tokens.
func run(t *testing.T, x *Context, toks []Token, seq Seq, from int) []float32 {
	t.Helper()
	var b Batch
	for i, tok := range toks {
		b.Add(tok, Pos(from+i), seq)
	}
	all := make([]Token, x.model.Info().Vocabulary)
	for i := range all {
		all[i] = Token(i)
	}
	b.Want(all)
	if err := x.Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Logits
}

func distance(a, b []float32) float64 {
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}

func TestLoad(t *testing.T) {
	m := load(t)
	i := m.Info()
	if i.Parameters < 1_000_000 || i.Vocabulary < 1000 || i.BOS < 0 || i.KVBytes <= 0 || i.Bytes <= 0 || !strings.Contains(i.Description, "llama") {
		t.Errorf("implausible model: %+v", i)
	}
	for _, path := range []string{"absent.gguf", "types.go"} {
		if _, err := LoadModel(path, ModelOptions{}); err == nil {
			t.Errorf("loaded %s", path)
		}
	}
	if _, err := m.LoadAdapter("types.go"); err == nil {
		t.Error("loaded a Go file as an adapter")
	}
}

func TestDevices(t *testing.T) {
	load(t)
	devices, err := Devices()
	if err != nil || len(devices) == 0 || devices[0].Name == "" || devices[0].MemoryTotal == 0 {
		t.Errorf("devices %+v, %v", devices, err)
	}
	for _, path := range []string{"libggml-vulkan.so", "/absent/libggml-vulkan.so", filepath.Join(t.TempDir(), "x.so")} {
		if LoadPlugin(path) == nil {
			t.Errorf("loaded plug-in %s", path)
		}
	}
	notALibrary := filepath.Join(t.TempDir(), "libggml-none.so")
	if err := os.WriteFile(notALibrary, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if LoadPlugin(notALibrary) == nil {
		t.Error("loaded a text file as a plug-in")
	}
}

func TestTokenizeRoundTrip(t *testing.T) {
	m := load(t)
	for _, text := range []string{"credit card number", "hate speech", "a", "x9 zq 42", "naïve 字 \x00 tab\tnewline\n"} {
		toks, err := m.Tokenize(text, false)
		if err != nil || len(toks) == 0 {
			t.Fatalf("tokenize %q: %v, %v", text, toks, err)
		}
		back, err := m.Detokenize(toks)
		if err != nil || strings.TrimPrefix(back, " ") != text {
			t.Errorf("round trip of %q gave %q, %v", text, back, err)
		}
	}
	if _, err := m.Detokenize([]Token{Token(m.Info().Vocabulary)}); err == nil {
		t.Error("detokenized a token outside the vocabulary")
	}
	// A special token's text becomes that token only when asked.
	special, err := m.Tokenize("<s>", true)
	if err != nil || !slices.Contains(special, m.Info().BOS) {
		t.Errorf("special <s> is %v, %v", special, err)
	}
	plain, err := m.Tokenize("<s>", false)
	if err != nil || slices.Contains(plain, m.Info().BOS) {
		t.Errorf("plain <s> is %v, %v", plain, err)
	}
}

func TestPrefixShareEqualsNoShare(t *testing.T) {
	m := load(t)
	text := tokens(t, m, "unsafe s 11 suicide and self harm")
	whole := slices.Clone(run(t, newContext(t, m, testOptions), text, 0, 0))
	x := newContext(t, m, testOptions)
	const prefix = 3
	run(t, x, text[:prefix], 0, 0)
	for seq := Seq(1); seq < 4; seq++ {
		if err := x.CopySequence(0, seq); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time after a trim back to the prefix
			if d := distance(whole, run(t, x, text[prefix:], seq, prefix)); d > 1e-4 {
				t.Errorf("sequence %d: logits differ by %g", seq, d)
			}
			if err := x.Decode(&Batch{Trim: []Seq{seq}, Keep: prefix}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The candidates' own rows of the head give what llama.cpp's whole head gives, but for its rounding of the
// hidden state to 16 bits. With an adapter too, and again after it was switched.
func TestHead(t *testing.T) {
	m := load(t)
	a, err := m.LoadAdapter(adapterPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, a) })
	full := testOptions
	full.FullHead = true
	ours, theirs := newContext(t, m, testOptions), newContext(t, m, full)
	text := tokens(t, m, "private key in source code")
	for _, adapter := range []*Adapter{nil, a, nil} {
		var logits [2][]float32
		for i, x := range []*Context{ours, theirs} {
			if err := x.SetAdapter(adapter, 2); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first decode computes all, the second stops before the head
				if err := x.Decode(&Batch{Trim: []Seq{0}}); err != nil {
					t.Fatal(err)
				}
				logits[i] = slices.Clone(run(t, x, text, 0, 0))
			}
		}
		size := distance(logits[1], make([]float32, len(logits[1])))
		if d := distance(logits[0], logits[1]); d == 0 || d > size/1024 { // 11 bits
			t.Errorf("logits of up to %g differ by %g; 0 would mean that the head was computed twice the same way", size, d)
		}
	}
}

func TestAdapter(t *testing.T) {
	m := load(t)
	a, err := m.LoadAdapter(adapterPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, a) })
	x := newContext(t, m, testOptions)
	text := tokens(t, m, "credit card number")
	logits := func(on *Adapter) []float32 {
		if err := x.SetAdapter(on, 1); err != nil {
			t.Fatal(err)
		}
		if err := x.Decode(&Batch{Trim: []Seq{0}}); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(run(t, x, text, 0, 0))
	}
	before, with, after := logits(nil), logits(a), logits(nil)
	if distance(before, with) < 1e-2 {
		t.Error("the adapter changes nothing")
	}
	if d := distance(before, after); d != 0 {
		t.Errorf("logits differ by %g after the adapter was switched off", d)
	}
	logits(a)
	if err := a.Close(); !errors.Is(err, ErrInUse) {
		t.Errorf("closing an adapter that is on gave %v", err)
	}
	if err := m.Close(); !errors.Is(err, ErrInUse) {
		t.Errorf("closing a model with a context gave %v", err)
	}
	logits(nil)
}

func TestException(t *testing.T) {
	load(t)
	if err := throw("a C++ exception"); err == nil || err.Error() != "a C++ exception" {
		t.Errorf("got %v", err)
	}
}

func TestBounds(t *testing.T) {
	m := load(t)
	for _, o := range []ContextOptions{{}, {Cells: 1, Batch: 1, Outputs: 2, Sequences: 1, Threads: 1}, {Cells: 9, Batch: 9, Outputs: 1, Sequences: 257, Threads: 1}} {
		if _, err := m.NewContext(o); err == nil {
			t.Errorf("made a context of %+v", o)
		}
	}
	o := testOptions
	o.Cells = 256 // llama.cpp rounds up to this
	x := newContext(t, m, o)
	if err := x.CopySequence(0, Seq(o.Sequences)); err == nil {
		t.Error("copied to a sequence out of range")
	}
	var b Batch
	for seq := range Seq(2) {
		b.Reset()
		for i := range 128 {
			b.Add(m.Info().BOS, Pos(i), seq)
		}
		if err := x.Decode(&b); err != nil {
			t.Fatal(err)
		}
	}
	b.Reset()
	b.Add(m.Info().BOS, 0, 2)
	if err := x.Decode(&b); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a full cache gave %v", err)
	}
	b.Trim = []Seq{0}
	if err := x.Decode(&b); err != nil {
		t.Errorf("a trimmed cache gave %v", err)
	}
}

func TestAbort(t *testing.T) {
	m := load(t)
	x := newContext(t, m, testOptions)
	x.Abort(true)
	var b Batch
	b.Add(m.Info().BOS, 0, 0)
	if err := x.Decode(&b); !errors.Is(err, ErrAborted) {
		t.Errorf("got %v", err)
	}
	x.Abort(false)
	b.Trim = []Seq{0}
	if err := x.Decode(&b); err != nil {
		t.Errorf("after the abort was lifted: %v", err)
	}
}

func TestClosed(t *testing.T) {
	m := load(t)
	x := newContext(t, m, testOptions)
	mustClose(t, x)
	x.Abort(true)
	for _, err := range []error{x.Decode(&Batch{}), x.CopySequence(0, 1), x.SetAdapter(nil, 1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("a closed context gave %v", err)
		}
	}
}

// TestLeak opens and closes everything 1,000 times; what stays resident must not grow with it. The bound is 64 KB
// for each time: a fifth of an adapter, the smallest thing that could be forgotten, and well above what
// allocators and thread stacks move about.
func TestLeak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	if err := Open(""); err != nil {
		t.Fatal(err)
	}
	cycle := func() {
		m, err := LoadModel(basePath, ModelOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.LoadAdapter(adapterPath)
		if err != nil {
			t.Fatal(err)
		}
		x, err := m.NewContext(ContextOptions{Cells: 256, Batch: 16, Outputs: 2, Sequences: 2, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.SetAdapter(a, 1), x.Close(), a.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // allocators settle
		cycle()
	}
	before := resident(t)
	for range 1000 {
		cycle()
	}
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("1,000 open and close left %d KB more resident", grown>>10)
	}
}

// resident is this process's memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc")
	}
	var size, pages int
	if _, err := fmt.Sscan(string(raw), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
