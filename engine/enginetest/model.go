// Package enginetest is a scripted decoder for tests of the engine and of everything above it.
package enginetest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/llama-mapper/llama-mapper/llama"
)

// Model implements engine.Model. Its logits depend only on a sequence's tokens, unless Noise is set. It
// checks what a real cache would suffer from: positions without a gap, sequences in range, room for all.
type Model struct {
	Options llama.ContextOptions
	Step    time.Duration // how long a decode takes, plus
	Row     time.Duration // so long for each row
	Noise   float64       // logits move by up to this much with the number of rows in the batch
	Fail    func(b *llama.Batch) error
	// Logit is the score of a candidate after a sequence's tokens; nil means a hash of both.
	Logit func(tokens []llama.Token, candidate llama.Token) float32

	mu        sync.Mutex // guards what follows, because Abort and the tests look from outside
	sequences map[llama.Seq][]llama.Token
	aborted   bool
	steps     []Step
}

// Step is what one decode had in it.
type Step struct {
	Rows   int
	Seqs   []llama.Seq // the sequences with rows, each once
	Tokens []llama.Token
	At     time.Time
}

// Steps returns a copy of all decodes so far.
func (m *Model) Steps() []Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.steps)
}

// Abort makes all later decodes fail with llama.ErrAborted.
func (m *Model) Abort(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborted = on
}

// CopySequence copies a sequence's tokens.
func (m *Model) CopySequence(from, to llama.Seq) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int(from) >= m.Options.Sequences || int(to) >= m.Options.Sequences {
		return fmt.Errorf("copy of sequence %d to %d of %d", from, to, m.Options.Sequences)
	}
	m.sequences[to] = slices.Clone(m.sequences[from])
	return nil
}

// Decode takes its time, then computes.
func (m *Model) Decode(b *llama.Batch) error {
	time.Sleep(m.Step + time.Duration(len(b.Tokens))*m.Row)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.aborted {
		return llama.ErrAborted
	}
	if m.Fail != nil {
		if err := m.Fail(b); err != nil {
			return err
		}
	}
	if err := b.Check(m.Options, 1<<20); err != nil {
		return err
	}
	if m.sequences == nil {
		m.sequences = map[llama.Seq][]llama.Token{}
	}
	for _, s := range b.Trim {
		m.sequences[s] = m.sequences[s][:min(b.Keep, len(m.sequences[s]))]
	}
	return m.compute(b)
}

func (m *Model) compute(b *llama.Batch) error {
	step := Step{Rows: len(b.Tokens), Tokens: slices.Clone(b.Tokens), At: time.Now()}
	out, from := 0, int32(0)
	for i, t := range b.Tokens {
		seq := b.Seqs[i]
		if len(m.sequences[seq]) != int(b.Pos[i]) {
			return fmt.Errorf("row %d: sequence %d has %d tokens, the row says position %d", i, seq, len(m.sequences[seq]), b.Pos[i])
		}
		m.sequences[seq] = append(m.sequences[seq], t)
		if !slices.Contains(step.Seqs, seq) {
			step.Seqs = append(step.Seqs, seq)
		}
		if b.Output[i] == 0 {
			continue
		}
		for k := from; k < b.Ends[out]; k++ {
			b.Logits[k] = m.logit(m.sequences[seq], b.Candidates[k]) + float32(m.Noise*noise(len(b.Tokens), b.Candidates[k]))
		}
		from = b.Ends[out]
		out++
	}
	m.steps = append(m.steps, step)
	cells := 0
	for seq, tokens := range m.sequences {
		if seq != 0 { // what is shared with the prefix costs nothing
			cells += max(0, len(tokens)-len(m.sequences[0]))
		}
	}
	if cells+len(m.sequences[0]) > m.Options.Cells {
		return errors.New("the sequences need more cells than there are")
	}
	return nil
}

func (m *Model) logit(tokens []llama.Token, candidate llama.Token) float32 {
	if m.Logit != nil {
		return m.Logit(tokens, candidate)
	}
	h := fnv.New32a()
	for _, t := range append(slices.Clone(tokens), candidate) {
		_, _ = fmt.Fprint(h, t, " ") // a hash takes everything
	}
	return float32(h.Sum32()%10000) / 1000
}

// noise is a fixed number between -1 and 1 for a batch of so many rows.
func noise(rows int, candidate llama.Token) float64 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, rows, candidate)
	return float64(h.Sum32()%2001)/1000 - 1
}
