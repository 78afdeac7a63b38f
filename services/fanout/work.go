package fanout

import "sync"

// work counts attempts that run, so that they can be waited for.
type work struct {
	mu      sync.Mutex // guards running and closed
	running int
	closed  bool
	idle    chan struct{} // closed when it is closed and nothing runs
}

// begin says whether one more may run; end says that it does not any more.
func (w *work) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.running++
	return true
}

func (w *work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running--; w.closed && w.running == 0 {
		close(w.idle)
	}
}

func (w *work) close() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && w.running == 0 {
		close(w.idle)
	}
	w.closed = true
	return w.idle
}
