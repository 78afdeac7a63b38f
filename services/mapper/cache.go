package mapper

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/singleflight"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/services/redis"
)

const (
	cacheLife     = 24 * time.Hour        // of an answer in Redis
	cachePatience = 20 * time.Millisecond // with Redis; the model itself takes a few
)

// Cache keeps the model's sure answers, in this process and in Redis for all replicas. An answer's key has the version
// that gave it, so it is never used for another. Redis sees neither what was asked nor by whom: keys are HMACs. While
// it is away each process has its own answers only.
type Cache struct {
	local   *lru.Cache[cacheKey, Answer]
	redis   *redis.Client
	macs    sync.Pool // of HMACs that have the secret
	asking  singleflight.Group
	results *prometheus.CounterVec
}

type cacheKey [sha256.Size]byte

// NewCache makes a cache of so many answers in this process. secret is the same for all replicas; r may be nil.
func NewCache(answers int, r *redis.Client, secret []byte, reg prometheus.Registerer) (*Cache, error) {
	local, err := lru.New[cacheKey, Answer](answers)
	if err != nil {
		return nil, err
	}
	c := &Cache{local: local, redis: r, macs: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}, results: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "cache_requests_total", Help: "Questions for the model: answered from this process (hit), from Redis (shared), or not (miss).",
	}, []string{"result"})}
	for _, result := range []string{"hit", "shared", "miss"} {
		c.results.WithLabelValues(result)
	}
	return c, nil
}

// Classify returns an answer that is kept, or asks the model, once for all who ask the same at a time. Only an answer
// that is sure is kept.
func (c *Cache) Classify(ctx context.Context, m Model, detector, finding string, sure func(Answer) bool) (Answer, error) {
	key := c.key(m.Answers(detector, finding), detector, finding)
	if a, ok := c.local.Get(key); ok {
		c.results.WithLabelValues("hit").Inc()
		return a, nil
	}
	deadline, bounded := ctx.Deadline()
	flight := string(key[:])
	if engine.IsBackground(ctx) {
		flight += "background" // no other request waits for it
	}
	done := c.asking.DoChan(flight, func() (any, error) {
		ctx := context.WithoutCancel(ctx) // others may wait for it longer than the first
		if bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline)
			defer cancel()
		}
		return c.ask(ctx, key, m, detector, finding, sure)
	})
	select {
	case r := <-done:
		if r.Shared && errors.Is(r.Err, context.DeadlineExceeded) && ctx.Err() == nil { // the first had less time than we
			return m.Classify(ctx, detector, finding)
		}
		a, _ := r.Val.(Answer)
		return a, r.Err
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// hits counts the findings that the model had answered of an answer that is sent again.
func (c *Cache) hits(findings []api.Finding) {
	n := 0
	for _, f := range findings {
		if f.Source == api.SourceModel {
			n++
		}
	}
	c.results.WithLabelValues("hit").Add(float64(n))
}

func (c *Cache) ask(ctx context.Context, key cacheKey, m Model, detector, finding string, sure func(Answer) bool) (Answer, error) {
	if a, ok := c.shared(ctx, key); ok {
		c.results.WithLabelValues("shared").Inc()
		c.local.Add(key, a)
		return a, nil
	}
	c.results.WithLabelValues("miss").Inc()
	a, err := m.Classify(ctx, detector, finding)
	if err != nil || !sure(a) {
		return a, err
	}
	key = c.key(a.Version, detector, finding) // another, if versions have changed meanwhile
	c.local.Add(key, a)
	c.share(ctx, key, a)
	return a, nil
}

func (c *Cache) key(version, detector, finding string) (key cacheKey) {
	h, _ := c.macs.Get().(hash.Hash)
	defer c.macs.Put(h)
	h.Reset()
	for _, s := range []string{version, detector, finding} {
		h.Write([]byte(s))
		h.Write([]byte{0}) // no request has a NUL
	}
	h.Sum(key[:0])
	return key
}

func (c *Cache) place(key cacheKey) string { return redis.Prefix + "answer:" + string(key[:]) }

func (c *Cache) shared(ctx context.Context, key cacheKey) (a Answer, ok bool) {
	if c.redis == nil || !c.redis.Up() {
		return a, false
	}
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	raw, err := c.redis.Get(ctx, c.place(key)).Bytes()
	return a, err == nil && json.Unmarshal(raw, &a) == nil && a.Label != ""
}

func (c *Cache) share(ctx context.Context, key cacheKey, a Answer) {
	if c.redis == nil || !c.redis.Up() {
		return
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	_ = c.redis.Set(ctx, c.place(key), raw, cacheLife).Err() // the others ask the model themselves
}
