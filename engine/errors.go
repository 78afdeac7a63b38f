package engine

import "errors"

// Errors of Ask. A request that met its deadline or was cancelled gets its context's error instead.
var (
	ErrBusy    = errors.New("the queue is full")
	ErrTooLong = errors.New("the prompt is too long")
	ErrClosed  = errors.New("the engine is closed")
)
