// Package redis opens the client for what replicas share: rate limits and idempotency keys. Redis may be away at
// any moment: nothing waits for it at the start, and once a call has failed, calls are refused at once for a second,
// so that a dead Redis costs one timeout and not one for each request. Whoever uses it goes on without.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/llama-mapper/llama-mapper/config"
)

// Prefix begins all our keys, because a Redis is often shared.
const Prefix = "llama-mapper:"

// What a call may take at worst is the sum: a connection from the pool, or a new one with its handshake, then the
// command. After that the circuit is open.
const (
	timeout     = 100 * time.Millisecond // of a dial, a write, a read
	poolTimeout = 50 * time.Millisecond
	poolSize    = 16
)

// ErrAway is the error of a call that was not tried, because one has failed within the last second.
var ErrAway = errors.New("redis does not answer; it is asked again within a second")

// errPing is what /ready shows to anyone, so it does not say where Redis is.
var errPing = errors.New("redis does not answer; limits are kept by each replica alone, and idempotency keys are not kept")

// Client is a Redis client behind a circuit. All its commands and pipelines return ErrAway while the circuit is open.
type Client struct {
	*goredis.Client
	circuit *circuit
}

// Open makes a client; it connects when it is first used. The pool's state goes to reg as redis_pool_connections.
// A test may change the options. It silences go-redis's logger for the whole process: what it prints can quote data.
func Open(c config.Redis, reg prometheus.Registerer, change ...func(*goredis.Options)) *Client {
	logging.Disable()
	o := options(c)
	for _, f := range change {
		f(o)
	}
	client := &Client{Client: goredis.NewClient(o), circuit: &circuit{start: time.Now()}}
	client.AddHook(client.circuit)
	auto := promauto.With(reg)
	for state, read := range map[string]func(*goredis.PoolStats) uint32{
		"idle":   func(s *goredis.PoolStats) uint32 { return s.IdleConns },
		"in_use": func(s *goredis.PoolStats) uint32 { return s.TotalConns - min(s.TotalConns, s.IdleConns) },
		"stale":  func(s *goredis.PoolStats) uint32 { return s.StaleConns },
	} {
		auto.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "redis_pool_connections", ConstLabels: prometheus.Labels{"state": state},
			Help: "Connections to Redis by state; stale counts those closed since the start because they had ended or aged.",
		}, func() float64 { return float64(read(client.PoolStats())) })
	}
	return client
}

func options(c config.Redis) *goredis.Options {
	o := &goredis.Options{
		Addr: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Username: c.User, Password: string(c.Password),
		Protocol: 2, DisableIdentity: true, // nothing here needs more, and the handshake is shorter
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DialTimeout:              timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: poolTimeout,
		ContextTimeoutEnabled: true,
		// Nothing is tried twice: what was sent may have been done, and callers have something better than waiting.
		MaxRetries: -1, DialerRetries: 1,
		PoolSize: poolSize, PipelinePoolSize: -1, ConnMaxIdleTime: 5 * time.Minute,
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	}
	return o
}

// Up says whether a call would be tried now. It asks nobody.
func (c *Client) Up() bool { return c.circuit.up() }

// Ping says whether Redis answers, for /ready. Its error holds no address.
func (c *Client) Ping(ctx context.Context) error {
	if c.Client.Ping(ctx).Err() != nil {
		return errPing
	}
	return nil
}
