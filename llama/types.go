package llama

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Version is the llama.cpp release this package is compiled for; PIN holds the same.
const Version = "0.5.0"

// Token is the number of a piece of the vocabulary.
type Token = int32

// Pos is a token's place in its sequence, from 0.
type Pos = int32

// Seq is a sequence's number in a Context, from 0 to ContextOptions.Sequences-1.
type Seq = int32

// Errors that callers tell apart. The error returned wraps one of them with what was attempted.
var (
	// ErrNotBuilt means the program was compiled without the build tag llama.
	ErrNotBuilt = errors.New("this program was built without llama.cpp; build it with `make` (go build -tags llama)")
	// ErrLibrary means libllama is missing or of another version.
	ErrLibrary = errors.New("llama.cpp library not usable")
	// ErrNoSpace means the cache has no room for the rows; it is as it was before the call.
	ErrNoSpace = errors.New("no space in the KV cache")
	// ErrAborted means Abort stopped a decode; part of the batch may be in the cache.
	ErrAborted = errors.New("decode aborted")
	// ErrClosed means the model, adapter or context was closed before.
	ErrClosed = errors.New("closed")
	// ErrInUse means something that depends on it is still open.
	ErrInUse = errors.New("still in use")
)

// ModelInfo describes a loaded model.
type ModelInfo struct {
	Description  string // architecture and quantisation in llama.cpp's words
	Parameters   int64
	Bytes        int64 // of all weights
	ContextTrain int   // tokens a sequence may have, as trained
	Vocabulary   int
	BOS, EOS     Token // -1 where the vocabulary has none
	AddBOS       bool  // the model expects BOS in front
	KVBytes      int   // of one cell of an f16 cache
}

// Begin puts the token that begins every text in front of a prompt, where the vocabulary asks for it or there is nothing else.
func (i ModelInfo) Begin(prompt []Token) ([]Token, error) {
	if !i.AddBOS && len(prompt) > 0 {
		return prompt, nil
	}
	if len(prompt) > 0 && prompt[0] == i.BOS {
		return nil, errors.New("begins with the token that begins every text; leave it out, the vocabulary asks for it by itself")
	}
	return append([]Token{i.BOS}, prompt...), nil
}

// Device is something llama.cpp can compute on.
type Device struct {
	Name, Description       string
	GPU                     bool
	MemoryFree, MemoryTotal uint64 // bytes
}

// ModelOptions says how weights are loaded.
type ModelOptions struct {
	GPULayers int // layers to offload; negative means all; without a GPU device it has no effect
}

// ContextOptions sizes a Context.
type ContextOptions struct {
	Cells     int    // tokens the cache holds, over all sequences
	Batch     int    // rows of one Decode
	Outputs   int    // output rows of one Decode; each costs a row of logits, 4 bytes x vocabulary
	Sequences int    // independent sequences
	Threads   int    // threads of the own pool, the caller's included
	Poll      uint32 // 0 sleeps between steps, 100 spins; ignored for one thread
	FullHead  bool   // compute the logits of the whole vocabulary, not just of the candidates; to compare with
}

func (o ContextOptions) validate() error {
	check := func(name string, value, least, most int) error {
		if value < least || value > most {
			return fmt.Errorf("%s is %d, outside %d to %d", name, value, least, most)
		}
		return nil
	}
	return errors.Join(
		check("Cells", o.Cells, 1, 1<<22),
		check("Batch", o.Batch, 1, 1<<16),
		check("Sequences", o.Sequences, 1, 256),           // LLAMA_MAX_SEQ
		check("Outputs", o.Outputs, o.Sequences, o.Batch), // llama.cpp reserves one for each sequence
		check("Threads", o.Threads, 1, 512),               // GGML_MAX_N_THREADS
		check("Poll", int(o.Poll), 0, 100),
	)
}

// Batch is one step of a Context. The caller fills everything but Logits and may reuse it afterwards.
type Batch struct {
	// Trim lists sequences that are cut back to their first Keep positions before the rows are decoded.
	Trim []Seq
	Keep int

	// The rows: one token each, with its position, its sequence, and 1 if its logits are wanted.
	Tokens []Token
	Pos    []Pos
	Seqs   []Seq
	Output []int8

	// Candidates are the tokens whose logits are wanted, for one output row after another; Ends holds
	// where each row's part of the list ends.
	Candidates []Token
	Ends       []int32

	// Logits holds, after Decode, one value for each candidate.
	Logits []float32
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Trim, b.Tokens, b.Pos, b.Seqs, b.Output = b.Trim[:0], b.Tokens[:0], b.Pos[:0], b.Seqs[:0], b.Output[:0]
	b.Candidates, b.Ends, b.Logits = b.Candidates[:0], b.Ends[:0], b.Logits[:0]
}

// Add appends a row without output.
func (b *Batch) Add(t Token, p Pos, s Seq) {
	b.Tokens, b.Pos, b.Seqs, b.Output = append(b.Tokens, t), append(b.Pos, p), append(b.Seqs, s), append(b.Output, 0)
}

// Want makes the last row an output row with these candidates.
func (b *Batch) Want(candidates []Token) {
	b.Output[len(b.Output)-1] = 1
	b.Candidates = append(b.Candidates, candidates...)
	b.Ends = append(b.Ends, int32(len(b.Candidates)))
}

// Check says whether a context of these sizes can decode the batch. Logits is grown to fit.
func (b *Batch) Check(o ContextOptions, vocabulary int) error {
	rows := len(b.Tokens)
	if rows > o.Batch {
		return fmt.Errorf("%d rows in a batch of at most %d", rows, o.Batch)
	}
	if len(b.Pos) != rows || len(b.Seqs) != rows || len(b.Output) != rows {
		return fmt.Errorf("rows disagree: %d tokens, %d positions, %d sequences, %d outputs", rows, len(b.Pos), len(b.Seqs), len(b.Output))
	}
	outputs := 0
	for i := range b.Tokens {
		switch {
		case b.Tokens[i] < 0 || int(b.Tokens[i]) >= vocabulary:
			return fmt.Errorf("row %d: token %d is not in the vocabulary of %d", i, b.Tokens[i], vocabulary)
		case b.Pos[i] < 0:
			return fmt.Errorf("row %d: position %d", i, b.Pos[i])
		case b.Seqs[i] < 0 || int(b.Seqs[i]) >= o.Sequences:
			return fmt.Errorf("row %d: sequence %d of %d", i, b.Seqs[i], o.Sequences)
		case b.Output[i] != 0:
			outputs++
		}
	}
	if outputs > o.Outputs || outputs != len(b.Ends) {
		return fmt.Errorf("%d output rows, %d candidate lists, at most %d", outputs, len(b.Ends), o.Outputs)
	}
	return b.checkLists(o, vocabulary)
}

func (b *Batch) checkLists(o ContextOptions, vocabulary int) error {
	for _, s := range b.Trim {
		if s < 0 || int(s) >= o.Sequences || b.Keep < 0 {
			return fmt.Errorf("trim of sequence %d of %d to %d", s, o.Sequences, b.Keep)
		}
	}
	last := int32(0)
	for i, end := range b.Ends {
		if end < last {
			return fmt.Errorf("candidate list %d ends at %d, before %d", i, end, last)
		}
		last = end
	}
	if int(last) != len(b.Candidates) {
		return fmt.Errorf("candidate lists end at %d of %d", last, len(b.Candidates))
	}
	for _, t := range b.Candidates {
		if t < 0 || int(t) >= vocabulary {
			return fmt.Errorf("candidate %d is not in the vocabulary of %d", t, vocabulary)
		}
	}
	if cap(b.Logits) < len(b.Candidates) {
		b.Logits = make([]float32, len(b.Candidates))
	}
	b.Logits = b.Logits[:len(b.Candidates)]
	return nil
}

// quantisations are llama.cpp's numbers of the ways to store weights that Quantize knows (llama_ftype in llama.h).
var quantisations = map[string]int32{"q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q4_k_m": 15}

// Quantisations are the names that Quantize knows.
func Quantisations() []string { return slices.Sorted(maps.Keys(quantisations)) }
