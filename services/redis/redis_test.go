package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/redis"
	"github.com/llama-mapper/llama-mapper/services/redis/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestOpenWithoutServer(t *testing.T) {
	c := redis.Open(config.Redis{Host: "127.0.0.1", Port: 1}, prometheus.NewRegistry())
	defer c.Close()
	if !c.Up() {
		t.Error("before the first call Redis counts as away")
	}
	if err := c.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("Ping says %v", err)
	}
	if c.Up() {
		t.Error("after a failure Redis counts as up")
	}
}

func TestKilledAndRestarted(t *testing.T) {
	s := redistest.Start(t)
	reg := prometheus.NewRegistry()
	c := s.Open(reg)
	ctx := context.Background()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "a", "b", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(reg, "redis_pool_connections"); n != 3 || err != nil {
		t.Errorf("redis_pool_connections has %d states, %v", n, err)
	}
	s.Kill()
	redistest.Eventually(t, "a call fails", func() bool { return c.Get(ctx, "a").Err() != nil })
	redistest.Eventually(t, "calls are skipped", func() bool { return errors.Is(c.Get(ctx, "a").Err(), redis.ErrAway) })
	s.Restart()
	redistest.Eventually(t, "Redis is back", func() bool { return c.Ping(ctx) == nil })
	if !c.Up() {
		t.Error("after an answer Redis counts as away")
	}
}

// A server that accepts connections and says nothing costs a timeout, and then nothing.
func TestFrozen(t *testing.T) {
	s := redistest.Start(t)
	c := redis.Open(s.Config, prometheus.NewRegistry()) // with the timeouts of production
	defer c.Close()
	ctx := context.Background()
	redistest.Eventually(t, "Redis answers", func() bool { return c.Ping(ctx) == nil })
	s.Freeze()
	defer s.Thaw()
	redistest.Eventually(t, "calls are skipped", func() bool { return errors.Is(c.Get(ctx, "a").Err(), redis.ErrAway) })
	s.Thaw()
	redistest.Eventually(t, "Redis is back", func() bool { return c.Ping(ctx) == nil })
}

func TestWrongPassword(t *testing.T) {
	s := redistest.Start(t)
	s.Config.Password = "canary-of-a-password"
	c := s.Open(prometheus.NewRegistry())
	err := c.Get(context.Background(), "a").Err()
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong password says %v", err)
	}
	if c.Up() {
		t.Error("with a wrong password Redis counts as up")
	}
}
