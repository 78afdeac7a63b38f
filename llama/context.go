//go:build llama

package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// Context decodes batches and holds the cache of its sequences. One goroutine at a time may use it.
type Context struct {
	model   *Model
	opts    ContextOptions
	pool    *C.lm_pool
	adapter *Adapter

	abort sync.RWMutex // guards c against Close while Abort, which may come from anywhere, uses it
	c     *C.lm_context
}

// NewContext makes a context with an own pool of o.Threads threads.
func (m *Model) NewContext(o ContextOptions) (*Context, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.c == nil {
		return nil, fmt.Errorf("new context: model %w", ErrClosed)
	}
	var why reason
	pool := C.lm_pool_new(C.int32_t(o.Threads), C.uint32_t(o.Poll), why.ptr())
	if pool == nil {
		return nil, fmt.Errorf("new context: %w", why.err())
	}
	co := C.lm_context_options{
		cells: C.uint32_t(o.Cells), batch: C.uint32_t(o.Batch), outputs: C.uint32_t(o.Outputs),
		sequences: C.uint32_t(o.Sequences), threads: C.int32_t(o.Threads), full_head: flag(o.FullHead),
	}
	c := C.lm_context_new(m.c, pool, &co, why.ptr())
	if c == nil {
		C.lm_pool_free(pool)
		return nil, fmt.Errorf("new context: %w", why.err())
	}
	m.uses++
	return &Context{model: m, opts: o, pool: pool, c: c}, nil
}

// Close frees the context, its cache and its threads.
func (x *Context) Close() error {
	x.abort.Lock()
	defer x.abort.Unlock()
	if x.c == nil {
		return nil
	}
	C.lm_context_free(x.c)
	C.lm_pool_free(x.pool)
	x.c, x.pool = nil, nil
	x.model.mu.Lock()
	defer x.model.mu.Unlock()
	if x.adapter != nil {
		x.adapter.uses--
	}
	x.model.uses--
	return nil
}

// SetAdapter switches a LoRA adapter on for all further decodes, with its deltas multiplied by scale; nil
// switches it off. What the cache holds was computed with the former adapter: trim it.
func (x *Context) SetAdapter(a *Adapter, scale float32) error {
	if x.c == nil {
		return fmt.Errorf("set adapter: context %w", ErrClosed)
	}
	x.model.mu.Lock()
	defer x.model.mu.Unlock()
	var c *C.lm_adapter
	if a != nil {
		if a.model != x.model {
			return fmt.Errorf("set adapter: it was loaded for another model")
		}
		if a.c == nil {
			return fmt.Errorf("set adapter: adapter %w", ErrClosed)
		}
		c = a.c
	}
	var why reason
	if C.lm_set_adapter(x.c, c, C.float(scale), why.ptr()) != 0 {
		return fmt.Errorf("set adapter: %w", why.err())
	}
	if x.adapter != nil {
		x.adapter.uses--
	}
	if x.adapter = a; a != nil {
		a.uses++
	}
	return nil
}

// CopySequence makes to share all cells of from, without computing or copying anything.
func (x *Context) CopySequence(from, to Seq) error {
	if x.c == nil {
		return fmt.Errorf("copy sequence: context %w", ErrClosed)
	}
	if from < 0 || to < 0 || int(from) >= x.opts.Sequences || int(to) >= x.opts.Sequences {
		return fmt.Errorf("copy sequence: %d to %d of %d", from, to, x.opts.Sequences)
	}
	var why reason
	if C.lm_copy_sequence(x.c, C.int32_t(from), C.int32_t(to), why.ptr()) != 0 {
		return fmt.Errorf("copy sequence: %w", why.err())
	}
	return nil
}

// Abort makes a running Decode, and all later ones, return ErrAborted; Abort(false) lifts that. It may be
// called from any goroutine. Only the CPU backend looks at it while it computes.
func (x *Context) Abort(on bool) {
	x.abort.RLock()
	defer x.abort.RUnlock()
	if x.c != nil {
		C.lm_abort(x.c, flag(on))
	}
}

// Decode runs one step and fills b.Logits, in one call of C. After ErrNoSpace the trims are done and the
// rows are not; after another error the sequences of the batch are in an unknown state: trim them.
func (x *Context) Decode(b *Batch) error {
	if x.c == nil {
		return fmt.Errorf("decode: context %w", ErrClosed)
	}
	if err := b.Check(x.opts, x.model.info.Vocabulary); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	var why reason
	code := C.lm_decode(x.c, first(b.Trim), C.int32_t(len(b.Trim)), C.int32_t(b.Keep),
		first(b.Tokens), first(b.Pos), first(b.Seqs), (*C.int8_t)(unsafe.SliceData(b.Output)), C.int32_t(len(b.Tokens)),
		first(b.Candidates), first(b.Ends), (*C.float)(unsafe.SliceData(b.Logits)), why.ptr())
	switch code {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("decode: %w", ErrNoSpace)
	case 2:
		return fmt.Errorf("decode: %w", ErrAborted)
	case math.MinInt32:
		return fmt.Errorf("decode: %w", why.err())
	default:
		return fmt.Errorf("decode: llama.cpp returned %d", int(code))
	}
}

func first(s []int32) *C.int32_t { return (*C.int32_t)(unsafe.SliceData(s)) }
