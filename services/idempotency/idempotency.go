// Package idempotency answers a request that is sent again, with the same Idempotency-Key, with the response of the
// first time, for a day. Replicas share the responses through Redis, which sees no content: the key is hashed, the
// body is there as a digest under the tenant's key, and the response is sealed.
//
// While Redis is away, or has lost what it had, requests are served as if they had no key. So this saves work and
// surprises, and is no promise that something is done once.
package idempotency

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	goredis "github.com/redis/go-redis/v9"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/redis"
)

const (
	lifetime    = 24 * time.Hour // of a response
	margin      = time.Second    // that a marker outlives the deadline of its request
	maxKey      = 128
	maxResponse = 1 << 20 // a larger response is not kept, and the request is done again
)

// Vault protects what Redis holds about one tenant.
type Vault interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
	Digest(text string) string // an HMAC; at most 255 bytes
}

// Request is one that came with an Idempotency-Key.
type Request struct {
	Tenant string
	Route  string // its pattern, with its method
	Key    string // the client's; 1 to 128 visible ASCII characters
	Body   []byte
	Vault  Vault // the tenant's
}

// Store keeps responses. It is safe for concurrent use.
type Store struct {
	redis   *redis.Client
	working time.Duration
	results *prometheus.CounterVec
}

// New makes a store. deadline is what a request may take at most: so long its key is taken, should it never end.
// Without r every request is served as if it had no key. It needs Redis 7.
func New(r *redis.Client, deadline time.Duration, reg prometheus.Registerer) *Store {
	results := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "idempotency_total",
		Help: "Requests with an Idempotency-Key: the first of their key, replays, conflicts, and those for which Redis was away, before or after.",
	}, []string{"result"})
	for _, result := range []string{"first", "replay", "conflict", "away"} {
		results.WithLabelValues(result)
	}
	return &Store{redis: r, working: deadline + margin, results: results}
}

// Replay is where a request stands. Unless Found, the caller does the work and then calls Finish or Abandon. Both do
// nothing for a nil Replay, which a request without a key has.
type Replay struct {
	Found  bool // there is a response: Status and Body
	Status int
	Body   []byte

	store  *Store
	vault  Vault
	key    string // in Redis
	marker string // what the key holds while we work; "" if Redis was away
}

// Begin takes a request's key. The error is a Conflict if a request with this key is being worked on or had another
// body, and InvalidRequest for a key that cannot be one. It keeps nothing of req but the Vault.
func (s *Store) Begin(ctx context.Context, req Request) (*Replay, error) {
	if err := Check(req.Key); err != nil {
		return nil, err
	}
	digest := req.Vault.Digest(string(req.Body))
	r := &Replay{store: s, vault: req.Vault, key: keyOf(req)}
	if s.redis == nil {
		return s.away(r), nil
	}
	marker := record{state: working, digest: digest, rest: []byte(rand.Text())}.encode()
	held, err := s.redis.SetArgs(ctx, r.key, marker, goredis.SetArgs{Mode: "NX", Get: true, TTL: s.working}).Result()
	if errors.Is(err, goredis.Nil) {
		s.results.WithLabelValues("first").Inc()
		r.marker = marker
		return r, nil
	}
	if err != nil {
		return s.away(r), nil //nolint:nilerr // Redis is optional
	}
	return s.again(r, held, digest)
}

// again is Begin for a key that is taken.
func (s *Store) again(r *Replay, held, digest string) (*Replay, error) {
	rec, ok := decode(held)
	if !ok {
		return s.away(r), nil
	}
	if rec.digest != digest {
		s.results.WithLabelValues("conflict").Inc()
		return nil, api.Errorf(api.Conflict, "this Idempotency-Key was used with another body; take a new key for a new request")
	}
	if rec.state == working {
		s.results.WithLabelValues("conflict").Inc()
		e := api.Errorf(api.Conflict, "a request with this Idempotency-Key is being worked on; retry after a second")
		e.Retryable, e.RetryAfter = true, time.Second
		return nil, e
	}
	plain, err := r.vault.Open(rec.rest)
	if err != nil {
		return s.away(r), nil //nolint:nilerr // what does not open is as good as lost
	}
	if r.Status, r.Body, r.Found = unpack(plain, r.key+digest); !r.Found {
		return s.away(r), nil
	}
	s.results.WithLabelValues("replay").Inc()
	return r, nil
}

func (s *Store) away(r *Replay) *Replay {
	s.results.WithLabelValues("away").Inc()
	return r
}

// finish replaces a marker by the response. If the marker is gone because the work took too long, the response is
// kept all the same, unless another request has taken the key.
var finish = goredis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or held == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 0
`)

// abandon removes a marker.
var abandon = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`)

// Finish keeps the response for those who send the request again. It is kept even if ctx has ended, for the work was
// done. It is for responses that would be the same the next time; the others are for Abandon.
func (r *Replay) Finish(ctx context.Context, status int, body []byte) {
	if r == nil || r.marker == "" {
		return
	}
	if len(body) > maxResponse {
		r.Abandon(ctx)
		return
	}
	rec, _ := decode(r.marker)
	sealed, err := r.vault.Seal(pack(status, body, r.key+rec.digest))
	if err != nil {
		r.Abandon(ctx)
		return
	}
	rec.state, rec.rest = done, sealed
	r.end(ctx, finish, rec.encode(), lifetime.Milliseconds())
}

// Abandon gives the key back, so that the request can be sent again at once: its work failed, or was refused.
func (r *Replay) Abandon(ctx context.Context) {
	if r == nil || r.marker == "" {
		return
	}
	r.end(ctx, abandon)
}

func (r *Replay) end(ctx context.Context, script *goredis.Script, args ...any) {
	args = append([]any{r.marker}, args...)
	r.marker = ""
	if err := script.Run(context.WithoutCancel(ctx), r.store.redis, []string{r.key}, args...).Err(); err != nil {
		r.store.results.WithLabelValues("away").Inc()
	}
}

// Check says what is wrong with a key.
func Check(key string) error {
	valid := len(key) >= 1 && len(key) <= maxKey
	for i := range len(key) {
		valid = valid && key[i] > ' ' && key[i] <= '~'
	}
	if !valid {
		return api.Errorf(api.InvalidRequest, "Idempotency-Key must be 1 to %d visible ASCII characters; a random UUID is a good one", maxKey)
	}
	return nil
}

// keyOf is a request's key in Redis: a tenant's id has no NUL, nor has a route, and the client's key may be guessable.
func keyOf(r Request) string {
	return redis.Prefix + "idempotency:" + r.Tenant + ":" + r.Vault.Digest(r.Route+"\x00"+r.Key)
}
