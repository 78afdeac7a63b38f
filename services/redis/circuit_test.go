package redis

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// replyError is an error reply as go-redis knows it.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &circuit{start: time.Now()}
		tried, result := 0, error(nil)
		process := c.ProcessHook(func(context.Context, goredis.Cmder) error { tried++; return result })
		pipeline := c.ProcessPipelineHook(func(context.Context, []goredis.Cmder) error { tried++; return result })
		ctx := context.Background()
		f := func(what string, err error, wantTried int, wantUp bool) {
			t.Helper()
			result, tried = err, 0
			cmd, inPipe := goredis.NewCmd(ctx, "get", "a"), goredis.NewCmd(ctx, "get", "b")
			got := [2]error{process(ctx, cmd), pipeline(ctx, []goredis.Cmder{inPipe})}
			if tried != wantTried || c.up() != wantUp {
				t.Errorf("%s: %d of two calls were tried, want %d; up is %v, want %v", what, tried, wantTried, c.up(), wantUp)
			}
			if tried < 2 && (!errors.Is(got[1], ErrAway) || !errors.Is(inPipe.Err(), ErrAway)) {
				t.Errorf("%s: what was not tried says %v and %v", what, got[1], inPipe.Err())
			}
		}
		f("all is well", nil, 2, true)
		f("not found", goredis.Nil, 2, true)
		f("an error of one command", replyError("WRONGTYPE of a key"), 2, true)
		f("a missing script", replyError("NOSCRIPT No matching script"), 2, true)
		f("a full pool", goredis.ErrPoolTimeout, 2, true)
		f("the network", io.EOF, 1, false)
		f("within the pause", nil, 0, false)
		time.Sleep(pause - 1)
		f("at its end", nil, 0, false)
		time.Sleep(time.Nanosecond)
		f("one is tried, in vain", replyError("LOADING the dataset"), 1, false)
		f("so the pause starts again", nil, 0, false)
		time.Sleep(pause)
		f("and ends", nil, 2, true)
		f("a wrong password", replyError("WRONGPASS invalid"), 1, false)
	})
}

func TestCircuitTriesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &circuit{start: time.Now()}
		c.report(t.Context(), io.EOF)
		time.Sleep(pause)
		if !c.admit() || c.admit() {
			t.Error("after a pause not exactly one call is tried")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		c.report(cancelled, context.Canceled)
		if c.admit() {
			t.Error("a caller that went closed the circuit")
		}
	})
}
