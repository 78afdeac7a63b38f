package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/llama"
)

// Engine answers prompts of one Task. Its methods may be called from any goroutine.
type Engine struct {
	opts    Options
	models  []Model
	metrics *metrics
	lanes   sync.WaitGroup
	abort   chan struct{} // closed when Close stops waiting for running requests

	mu         sync.RWMutex // guards closed, and the queues against a send after their close
	closed     bool
	queue      chan *request
	background chan *request // what waits until the queue is empty
}

// backgroundQueue is how many requests of the background may wait. They are in nobody's way.
const backgroundQueue = 256

// New starts one lane for each model and computes the task's prefix in it. The models belong to the engine
// until Close has returned; whoever made them closes them then. Metrics go to reg.
func New(models []Model, t Task, o Options, reg prometheus.Registerer) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("engine options: %w", err)
	}
	if len(models) == 0 || len(t.Prefix) == 0 || t.Temperature <= 0 {
		return nil, errors.New("engine: it needs a model, a prefix and a temperature above 0")
	}
	root, err := newTrie(t.Answers)
	if err != nil {
		return nil, fmt.Errorf("engine answers: %w", err)
	}
	e := &Engine{opts: o, models: models, abort: make(chan struct{}), queue: make(chan *request, o.Queue), background: make(chan *request, backgroundQueue)}
	e.metrics = newMetrics(reg, e.queue, e.background, o.Rows)
	var warm []*lane
	for i, m := range models {
		background := e.background
		if i == 0 && len(models) > 1 {
			background = nil
		}
		l := newLane(e, m, t, root, background)
		if err := l.warm(t.Prefix); err != nil {
			return nil, fmt.Errorf("engine prefix: %w", err)
		}
		warm = append(warm, l)
	}
	for _, l := range warm {
		e.lanes.Go(l.run)
	}
	return e, nil
}

// Ask puts a prompt to the model. The prompt follows the task's prefix and is not kept after Ask returns
// unless ctx ends first. Ask returns ErrBusy at once when the queue is full, ErrTooLong, ErrClosed, or
// ctx's error when it ends before the answer; ctx must have a deadline.
func (e *Engine) Ask(ctx context.Context, prompt []llama.Token) (Answer, error) {
	if len(prompt) == 0 || len(prompt) > e.opts.Prompt {
		return nil, fmt.Errorf("%w: %d tokens, 1 to %d fit", ErrTooLong, len(prompt), e.opts.Prompt)
	}
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("engine: a request needs a deadline")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &request{ctx: ctx, background: IsBackground(ctx), prompt: prompt, queued: time.Now(), done: make(chan result, 1)}
	if err := e.enqueue(r); err != nil {
		return nil, err
	}
	select {
	case res := <-r.done:
		return res.answer, res.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Full says whether Ask would return ErrBusy now, so that a caller can refuse before it prepares a prompt.
func (e *Engine) Full(ctx context.Context) bool {
	q := e.queueOf(IsBackground(ctx))
	return len(q) == cap(q)
}

func (e *Engine) queueOf(background bool) chan *request {
	if background {
		return e.background
	}
	return e.queue
}

func (e *Engine) enqueue(r *request) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return ErrClosed
	}
	select {
	case e.queueOf(r.background) <- r:
		return nil
	default:
		e.metrics.ended.WithLabelValues("busy").Inc()
		return ErrBusy
	}
}

// Close takes no more requests, waits until those it took are answered or ctx ends, then ends the rest with
// ErrClosed and stops the lanes. It returns ctx's error if it had to cut requests off. It may be repeated.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	if first {
		close(e.background)
		close(e.queue)
	}
	e.mu.Unlock()
	if !first {
		e.lanes.Wait()
		return nil
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		e.lanes.Wait()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
	}
	close(e.abort)
	for _, m := range e.models {
		m.Abort(true)
	}
	<-stopped
	return ctx.Err()
}
