package engine

import "github.com/llama-mapper/llama-mapper/llama"

// Model is a decoder context as the loop drives it. One lane owns it; only Abort comes from elsewhere.
type Model interface {
	// Decode runs one step; see llama.Context.
	Decode(*llama.Batch) error
	// CopySequence makes the second sequence share the cells of the first.
	CopySequence(from, to llama.Seq) error
	// Abort makes a running Decode and all later ones fail.
	Abort(on bool)
}

var _ Model = (*llama.Context)(nil)

// Task is what a checkpoint wants asked. All requests of an Engine share it.
type Task struct {
	Prefix      []llama.Token   // in front of every prompt, at least one token (BOS)
	Answers     [][]llama.Token // the legal answers; none is the beginning of another
	Temperature float64         // logits are divided by it before the softmax; 1 leaves them
}
