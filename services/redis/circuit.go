package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pause is how long nothing is tried after a failure. Then one call is, and the others go on being refused until it
// has an answer.
const pause = time.Second

// circuit is a hook of go-redis that refuses calls while Redis is away.
type circuit struct {
	start time.Time
	until atomic.Int64 // nanoseconds after start; 0 while Redis answers
}

func (c *circuit) now() int64 { return int64(time.Since(c.start)) }

func (c *circuit) up() bool {
	until := c.until.Load()
	return until == 0 || c.now() >= until
}

// admit says whether a call may be tried; of several after a pause one is.
func (c *circuit) admit() bool {
	until, now := c.until.Load(), c.now()
	return until == 0 || now >= until && c.until.CompareAndSwap(until, now+int64(pause))
}

// report learns from the result of a call that was tried.
func (c *circuit) report(ctx context.Context, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, goredis.ErrPoolTimeout):
		// The caller went, or too many ask at once: neither says anything about Redis.
	case away(err):
		c.until.Store(c.now() + int64(pause))
	default:
		c.until.Store(0)
	}
}

// away says whether an error means that Redis cannot serve, whatever is asked. Other error replies are about one command.
func away(err error) bool {
	var reply goredis.Error
	if err == nil || errors.Is(err, goredis.Nil) {
		return false
	}
	if !errors.As(err, &reply) {
		return true // the network, a deadline, a handshake
	}
	for _, prefix := range []string{
		"LOADING", "MASTERDOWN", "READONLY", "MISCONF", "OOM", "BUSY", "CLUSTERDOWN",
		"NOAUTH", "WRONGPASS", "NOPERM", "ERR max number of clients", "ERR AUTH",
	} {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// admitted marks the context of a call that was let through: a new connection's handshake goes through the hook, too.
type admitted struct{}

// DialHook is part of go-redis's Hook.
func (c *circuit) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook is part of go-redis's Hook.
func (c *circuit) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if ctx.Value(admitted{}) != nil {
			return next(ctx, cmd)
		}
		if !c.admit() {
			cmd.SetErr(ErrAway)
			return ErrAway
		}
		err := next(context.WithValue(ctx, admitted{}, true), cmd)
		c.report(ctx, err)
		return err
	}
}

// ProcessPipelineHook is part of go-redis's Hook.
func (c *circuit) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if ctx.Value(admitted{}) != nil {
			return next(ctx, cmds)
		}
		if !c.admit() {
			for _, cmd := range cmds {
				cmd.SetErr(ErrAway)
			}
			return ErrAway
		}
		err := next(context.WithValue(ctx, admitted{}, true), cmds)
		c.report(ctx, err)
		return err
	}
}
