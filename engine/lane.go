package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llama-mapper/llama-mapper/llama"
)

// lane owns one decoder context. Everything in it is touched by its goroutine alone.
type lane struct {
	*Engine
	model       Model
	root        *node
	prefix      int
	temperature float64
	pace        pace
	background  chan *request // nil for a lane that is kept for requests that somebody waits for

	free    []llama.Seq // sequences that no request has
	running []*request
	again   []*request // to be decoded again, alone
	batch   llama.Batch
	demands []demand
	rows    []int
}

func newLane(e *Engine, m Model, t Task, root *node, background chan *request) *lane {
	return &lane{
		Engine: e, background: background, model: m, root: root, prefix: len(t.Prefix), temperature: t.Temperature,
		pace: pace{step: e.opts.Step, most: e.opts.Rows},
	}
}

// warm decodes the prefix into sequence 0, which nothing else uses, and shares it with all others.
func (l *lane) warm(prefix []llama.Token) error {
	for i, t := range prefix {
		l.batch.Add(t, llama.Pos(i), 0)
		if len(l.batch.Tokens) == l.opts.Rows || i == len(prefix)-1 {
			if err := l.model.Decode(&l.batch); err != nil {
				return err
			}
			l.batch.Reset()
		}
	}
	for s := llama.Seq(l.opts.Slots); s >= 1; s-- {
		if err := l.model.CopySequence(0, s); err != nil {
			return err
		}
		l.free = append(l.free, s)
	}
	return nil
}

// run is the loop. It ends when the queue is closed and everything taken from it has a result.
func (l *lane) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for l.admit() {
		l.drop()
		if len(l.running) == 0 {
			continue
		}
		total := l.fill()
		start, cpu := time.Now(), threadCPU()
		err := l.model.Decode(&l.batch)
		took := time.Since(start)
		l.metrics.decodeCPU.Add((threadCPU() - cpu).Seconds())
		l.metrics.rows.Observe(float64(total))
		l.pace.observe(total, took)
		if err == nil { // else cut them again: a failed decode ends all that runs, so no number is in use
			l.batch.Trim = l.batch.Trim[:0]
		}
		l.deliver(err)
	}
}

// admit fills free slots from the queue, and sleeps only when nothing runs. While a request must be decoded
// again, nothing is admitted: what runs ends, then that request has the lane for itself.
func (l *lane) admit() bool {
	if len(l.again) > 0 {
		if len(l.running) == 0 {
			r := l.again[0]
			l.again = slices.Delete(l.again, 0, 1)
			r.again = true
			l.start(r)
		}
		return true
	}
	ready := 0
	for _, r := range l.running {
		ready += len(r.pending)
	}
	waiting := len(l.queue)
	if waiting == 0 {
		waiting = len(l.background)
	}
	room := share(waiting, len(l.models), len(l.free))
	for ; room > 0 && ready < l.opts.Rows; room-- {
		r, open := l.next()
		if r == nil {
			return open
		}
		if l.stale(r) {
			room++
			continue
		}
		r.admitted = time.Now()
		l.metrics.queue.Observe(r.admitted.Sub(r.queued).Seconds())
		l.start(r)
		ready += len(r.pending)
	}
	return true
}

// next takes a request that somebody waits for, or else one of the background if the lane may. It sleeps only when
// nothing runs; without a request it says whether the lane goes on.
func (l *lane) next() (r *request, open bool) {
	for {
		r, open := poll(l.queue)
		if r == nil && l.yielding() {
			r, _ = poll(l.background) // it is closed before the queue is
		}
		if r != nil || len(l.running) > 0 || !open {
			return r, r != nil || len(l.running) > 0
		}
		select {
		case r = <-l.queue:
		case r = <-l.background:
		}
		if r != nil {
			return r, true
		}
	}
}

// yielding says whether a request of the background may join what runs: only others of the background, and few enough
// that slots are free for what comes.
func (l *lane) yielding() bool {
	return len(l.running) < max(1, l.opts.Slots/2) && !slices.ContainsFunc(l.running, func(r *request) bool { return !r.background })
}

// poll takes what is there, and says whether more can come.
func poll(from chan *request) (r *request, open bool) {
	select {
	case r, open = <-from:
		return r, open
	default:
		return nil, true
	}
}

func (l *lane) start(r *request) {
	seq := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	r.begin(seq, l.prefix, l.root)
	l.running = append(l.running, r)
	l.metrics.reused.Add(float64(l.prefix))
}

// stale ends a request that must not be decoded: cut off by Close, cancelled, or past its deadline.
func (l *lane) stale(r *request) bool {
	err := r.ctx.Err()
	if deadline, _ := r.ctx.Deadline(); err == nil && !time.Now().Before(deadline) {
		err = context.DeadlineExceeded
	}
	select {
	case <-l.abort:
		err = ErrClosed
	default:
	}
	if err != nil {
		l.end(r, nil, err)
	}
	return err != nil
}

// drop ends running requests that became stale since the last step.
func (l *lane) drop() {
	l.running = slices.DeleteFunc(l.running, func(r *request) bool {
		if !l.stale(r) {
			return false
		}
		l.release(r)
		return true
	})
}

// release cuts a request's sequence back to the prefix, in the next batch, and frees it.
func (l *lane) release(r *request) {
	l.batch.Trim = append(l.batch.Trim, r.seq)
	l.free = append(l.free, r.seq)
}

// fill makes the next batch of what runs, and returns its number of rows.
func (l *lane) fill() int {
	l.demands = l.demands[:0]
	for _, r := range l.running {
		l.demands = append(l.demands, demand{pending: len(r.pending), answering: !r.prefill.IsZero()})
	}
	budget := l.opts.Rows // a lone request delays nobody, and its shape must be the canonical one
	if len(l.running) > 1 {
		budget = l.pace.budget()
	}
	l.rows = schedule(l.rows, l.demands, budget, l.opts.Rows)
	trim := l.batch.Trim
	l.batch.Reset()
	l.batch.Trim, l.batch.Keep = trim, l.prefix
	for i, r := range l.running {
		r.alone = r.alone && len(l.running) == 1
		for _, t := range r.pending[:l.rows[i]] {
			l.batch.Add(t, r.pos, r.seq)
			r.pos++
		}
		if l.rows[i] > 0 && l.rows[i] == len(r.pending) {
			l.batch.Want(r.at.tokens)
		}
		r.pending = r.pending[l.rows[i]:]
	}
	pad(&l.batch)
	return len(l.batch.Tokens)
}

// pad makes a lone output row two, with nothing wanted of the other. llama.cpp multiplies one row by another
// routine than several, and that was the only difference between a request alone and among others, both whole
// in a batch, that could be measured on a CPU below 64 rows.
func pad(b *llama.Batch) {
	if len(b.Ends) != 1 || len(b.Tokens) == 1 {
		return
	}
	if at := slices.Index(b.Output, 1); at > 0 {
		b.Output[at-1] = 1
		b.Ends = append(b.Ends[:0], 0, b.Ends[0])
	} else {
		b.Output[1] = 1
		b.Ends = append(b.Ends, b.Ends[0])
	}
}

// deliver hands each request whose rows are all decoded its logits, and ends what is finished. After an
// error all requests of the batch end with it.
func (l *lane) deliver(failed error) {
	now := time.Now()
	logits := l.batch.Logits
	i := -1
	l.running = slices.DeleteFunc(l.running, func(r *request) bool {
		i++
		if failed != nil {
			l.release(r)
			if !l.stale(r) { // else Close aborted the decode, or the caller did not wait for its end
				l.end(r, nil, fmt.Errorf("decode: %w", failed))
			}
			return true
		}
		if l.rows[i] == 0 || len(r.pending) > 0 {
			return false
		}
		if r.prefill.IsZero() {
			r.prefill = now
		}
		n := len(r.at.tokens)
		r.branch(logits[:n], l.temperature, l.opts.Noise)
		logits = logits[n:]
		if r.at.answer < 0 {
			return false
		}
		l.release(r)
		l.finish(r, now)
		return true
	})
}

// finish gives a request its answer, or puts it up to be decoded again when noise could change the answer.
func (l *lane) finish(r *request, now time.Time) {
	answer, firm := r.answer(l.opts.Noise)
	if !firm && !r.alone {
		l.metrics.redecoded.Inc()
		l.again = append(l.again, r)
		return
	}
	l.metrics.prefill.Observe(r.prefill.Sub(r.admitted).Seconds())
	l.metrics.decode.Observe(now.Sub(r.prefill).Seconds())
	l.metrics.prompt.Add(float64(len(r.prompt)))
	l.metrics.answer.Add(float64(int(r.pos) - l.prefix - len(r.prompt)))
	l.end(r, answer, nil)
}

func (l *lane) end(r *request, a Answer, err error) {
	l.metrics.end(err)
	r.done <- result{a, err}
}

// threadCPU is the CPU time of the calling thread.
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
