//go:build llama

package llama

// #include <stdint.h>
import "C"

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// logger takes llama.cpp's lines. llama.cpp has one log callback for the process, so this is the one
// piece of state that cannot belong to a value.
var logger atomic.Pointer[slog.Logger]

// SetLogger sends llama.cpp's log lines to l; nil drops them, which is how it starts. What llama.cpp calls
// info is our debug: it describes every tensor. The lines never hold text of a prompt.
func SetLogger(l *slog.Logger) { logger.Store(l) }

// lmGoLog is called by the shim from whatever thread llama.cpp logs on, with one whole line.
//
//export lmGoLog
func lmGoLog(level C.int32_t, line *C.char) {
	l := logger.Load()
	if l == nil {
		return
	}
	levels := [...]slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelDebug, slog.LevelWarn, slog.LevelError}
	at := slog.LevelDebug
	if level >= 0 && int(level) < len(levels) {
		at = levels[level]
	}
	if l.Enabled(context.Background(), at) {
		l.Log(context.Background(), at, strings.TrimRight(C.GoString(line), "\n"), slog.String("from", "llama.cpp"))
	}
}
