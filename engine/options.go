package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/llama-mapper/llama-mapper/llama"
)

// Options is what can be set about the engine.
type Options struct {
	Queue  int           // requests that may wait; the next one gets ErrBusy
	Slots  int           // requests a lane decodes together; each costs KV memory
	Rows   int           // rows of one decode
	Prompt int           // tokens a prompt may have, without the prefix
	Step   time.Duration // what one decode may take when several requests share it

	// Noise is how far a logit may move with the shape of the batch. llama.cpp's CPU attention changes its
	// algorithm at 64 rows; below, and with pad, no difference at all was seen with the shipped checkpoint.
	Noise float64
}

// Default returns options for small models on a CPU.
func Default() Options {
	return Options{Queue: 256, Slots: 16, Rows: 63, Prompt: 48, Step: 20 * time.Millisecond, Noise: 2e-6}
}

// Validate reports every mistake at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Queue >= 1 && o.Queue <= 1<<16, "queue is %d, outside 1 to 65536", o.Queue)
	check(o.Slots >= 1 && o.Slots <= 255, "slots is %d, outside 1 to 255", o.Slots)
	check(o.Rows > o.Slots && o.Rows <= 1<<14, "rows is %d, outside %d (slots + 1) to 16384", o.Rows, o.Slots+1)
	check(o.Prompt >= 1 && o.Prompt <= 1<<16, "prompt is %d tokens, outside 1 to 65536", o.Prompt)
	check(o.Step >= time.Millisecond && o.Step <= time.Minute, "step is %s, outside 1ms to 1m", o.Step)
	check(o.Noise >= 0 && o.Noise <= 1, "noise is %g, outside 0 to 1", o.Noise)
	return errors.Join(errs...)
}

// Context returns the sizes that a lane's decoder context needs for t.
func (o Options) Context(t Task, threads int) llama.ContextOptions {
	longest := 0
	for _, a := range t.Answers {
		longest = max(longest, len(a))
	}
	return llama.ContextOptions{
		Cells: len(t.Prefix) + o.Slots*(o.Prompt+longest), Batch: o.Rows, Outputs: o.Slots + 1, Sequences: o.Slots + 1,
		Threads: threads,
	}
}
