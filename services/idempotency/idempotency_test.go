package idempotency

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/redis"
	"github.com/llama-mapper/llama-mapper/services/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vault is a tenant's, as services/access has them.
type vault struct{ key [32]byte }

func (v vault) aead() cipher.AEAD {
	block, err := aes.NewCipher(v.key[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}
func (v vault) Seal(plain []byte) ([]byte, error)  { return v.aead().Seal(nil, nil, plain, nil), nil }
func (v vault) Open(sealed []byte) ([]byte, error) { return v.aead().Open(nil, nil, sealed, nil) }
func (v vault) Digest(text string) string {
	h := hmac.New(sha256.New, v.key[:])
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func request(key, body string) Request {
	return Request{Tenant: "acme", Route: "POST /v1/map", Key: key, Body: []byte(body), Vault: vault{}}
}

func store(s *redistest.Server) *Store {
	return New(s.Open(prometheus.NewRegistry()), time.Minute, prometheus.NewRegistry())
}

// begin returns what a request is told: first, the response, or the code of the error.
func begin(t *testing.T, s *Store, r Request) (*Replay, string) {
	t.Helper()
	replay, err := s.Begin(context.Background(), r)
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Retryable:
		return nil, "retry " + string(e.Code)
	case errors.As(err, &e):
		return nil, string(e.Code)
	case err != nil:
		t.Fatal(err)
	case replay.Found:
		return replay, fmt.Sprintf("%d %s", replay.Status, replay.Body)
	}
	return replay, "first"
}

func (s *Store) check(t *testing.T, want map[string]float64) {
	t.Helper()
	for _, result := range []string{"first", "replay", "conflict", "away"} {
		if got := testutil.ToFloat64(s.results.WithLabelValues(result)); got != want[result] {
			t.Errorf("%v requests counted as %s, want %v", got, result, want[result])
		}
	}
}

func TestLifeOfAKey(t *testing.T) {
	server := redistest.Start(t)
	s := store(server)
	ctx := context.Background()
	f := func(r Request, want string) *Replay {
		t.Helper()
		replay, got := begin(t, s, r)
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		return replay
	}
	r := request("a", "body")
	first := f(r, "first")
	f(r, "retry CONFLICT")
	f(request("a", "other"), "CONFLICT")
	first.Abandon(ctx)
	first = f(r, "first")
	first.Finish(ctx, 422, []byte("response"))
	first.Finish(ctx, 200, []byte("late")) // both do nothing now
	first.Abandon(ctx)
	f(r, "422 response")
	f(r, "422 response")
	f(request("a", "other"), "CONFLICT")
	for _, other := range []Request{ // the same key of another tenant, or for another route
		{Tenant: "other", Route: r.Route, Key: r.Key, Vault: r.Vault}, {Tenant: r.Tenant, Route: "POST /v1/other", Key: r.Key, Vault: r.Vault},
	} {
		f(other, "first").Finish(ctx, 200, nil)
		f(other, "200 ")
	}
	f(request("large", ""), "first").Finish(ctx, 200, make([]byte, maxResponse+1))
	f(request("large", ""), "first")
	s.check(t, map[string]float64{"first": 6, "replay": 4, "conflict": 3})
	if ttl := server.Admin.PTTL(ctx, keyOf(r)).Val(); ttl <= lifetime-time.Hour || ttl > lifetime {
		t.Errorf("a response is kept for %v", ttl)
	}
	if ttl := server.Admin.PTTL(ctx, keyOf(request("large", ""))).Val(); ttl <= 0 || ttl > time.Minute+margin {
		t.Errorf("a marker is kept for %v", ttl)
	}
	var none *Replay
	none.Finish(ctx, 200, nil)
	none.Abandon(ctx)
}

func TestKeys(t *testing.T) {
	s := New(nil, time.Second, prometheus.NewRegistry())
	f := func(key, want string) {
		t.Helper()
		if _, got := begin(t, s, request(key, "")); got != want {
			t.Errorf("key %q: got %q, want %q", key, got, want)
		}
	}
	f("", "INVALID_REQUEST")
	f("!~", "first")
	f(strings.Repeat("x", maxKey), "first")
	f(strings.Repeat("x", maxKey+1), "INVALID_REQUEST")
	for _, bad := range []string{" ", "a b", "a\n", "a\x7f", "\x00", "é", "a\xff"} {
		f(bad, "INVALID_REQUEST")
	}
	s.check(t, map[string]float64{"away": 2})
}

// Work that outlives its marker does not overwrite what another request with the key does meanwhile.
func TestMarkerExpired(t *testing.T) {
	server := redistest.Start(t)
	s, ctx, r := store(server), context.Background(), request("a", "")
	slow, _ := begin(t, s, r)
	server.Admin.Del(ctx, keyOf(r)) // as Redis does when its time is over
	second, _ := begin(t, s, r)
	slow.Finish(ctx, 200, []byte("slow"))
	if _, got := begin(t, s, r); got != "retry CONFLICT" {
		t.Errorf("while the second works: %q", got)
	}
	second.Finish(ctx, 200, []byte("second"))
	if _, got := begin(t, s, r); got != "200 second" {
		t.Errorf("at the end: %q", got)
	}
	lone, _ := begin(t, s, request("b", ""))
	server.Admin.Del(ctx, keyOf(request("b", "")))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	lone.Finish(ended, 200, []byte("kept"))
	if _, got := begin(t, s, request("b", "")); got != "200 kept" {
		t.Errorf("nobody else took the key, and the caller has gone: %q", got)
	}
}

// Of requests that come at once on several replicas exactly one does the work, and the others conflict or get its
// response.
func TestConcurrent(t *testing.T) {
	server := redistest.Start(t)
	replicas := []*Store{store(server), store(server)}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards got
	got := map[string]int{}
	for g := range 100 {
		wg.Go(func() {
			replay, what := begin(t, replicas[g%2], request("a", "body"))
			if what == "first" {
				replay.Finish(context.Background(), 200, []byte("response"))
			}
			mu.Lock()
			defer mu.Unlock()
			got[what]++
		})
	}
	wg.Wait()
	if got["first"] != 1 || got["first"]+got["retry CONFLICT"]+got["200 response"] != 100 {
		t.Errorf("the requests were told %v", got)
	}
	if _, what := begin(t, replicas[0], request("a", "body")); what != "200 response" {
		t.Errorf("the next one was told %q", what)
	}
}

// What is not ours, or was written for another request, is not replayed.
func TestForged(t *testing.T) {
	server := redistest.Start(t)
	s, ctx := store(server), context.Background()
	for _, key := range []string{"a", "b"} {
		replay, _ := begin(t, s, request(key, "body"))
		replay.Finish(ctx, 200, []byte("response of "+key))
	}
	at := func(key string) string { return keyOf(request(key, "")) }
	good := server.Admin.Get(ctx, at("a")).Val()
	for _, value := range []string{
		server.Admin.Get(ctx, at("b")).Val(), "", "d", "d\xff", "x" + good[1:], good[:len(good)-1], good[:2+int(good[1])],
	} {
		server.Admin.Set(ctx, at("a"), value, 0)
		if _, got := begin(t, s, request("a", "body")); got != "first" {
			t.Errorf("%q is replayed as %q", value, got)
		}
	}
	s.check(t, map[string]float64{"first": 2, "away": 7})
	server.Admin.Set(ctx, at("a"), good, 0)
	if _, got := begin(t, s, request("a", "body")); got != "200 response of a" {
		t.Errorf("what was there before is replayed as %q", got)
	}
	replay, _ := begin(t, s, request("a", "body"))
	replay.Finish(ctx, 500, nil) // of what was found: it does nothing
	if got := server.Admin.Get(ctx, at("a")).Val(); got != good {
		t.Error("a replay was overwritten")
	}
}

// wire keeps what is sent to Redis.
type wire struct {
	net.Conn
	mu   *sync.Mutex // guards sent
	sent *bytes.Buffer
}

func (w wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.sent.Write(b)
	w.mu.Unlock()
	return w.Conn.Write(b)
}

// Neither the key nor the body nor the response goes to Redis in clear: not on the way, and not in what it holds.
func TestCanaries(t *testing.T) {
	server := redistest.Start(t)
	ctx := context.Background()
	var mu sync.Mutex
	var sent bytes.Buffer
	client := server.Open(prometheus.NewRegistry(), func(o *goredis.Options) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return wire{conn, &mu, &sent}, err
		}
	})
	s := New(client, time.Minute, prometheus.NewRegistry())
	const canary = "canary"
	for i, end := range []func(*Replay){
		func(*Replay) {}, func(r *Replay) { r.Abandon(ctx) }, func(r *Replay) { r.Finish(ctx, 200, []byte("response-"+canary)) },
	} {
		r := request(fmt.Sprintf("key-%s-%d", canary, i), "body-"+canary)
		replay, _ := begin(t, s, r)
		begin(t, s, r)
		end(replay)
		begin(t, s, r)
		begin(t, s, request(r.Key, "another-body-"+canary))
		lookFor(t, server, canary)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(sent.String(), redis.Prefix+"idempotency:") {
		t.Error("the wire was not seen")
	}
	if strings.Contains(sent.String(), canary) {
		t.Error("a canary was sent")
	}
}

// lookFor reads all of Redis.
func lookFor(t *testing.T, server *redistest.Server, canary string) {
	t.Helper()
	ctx := context.Background()
	keys, err := server.Admin.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if value, err := server.Admin.Get(ctx, key).Result(); err != nil || strings.Contains(key+value, canary) {
			t.Errorf("%q holds a canary, or does not read: %v", key, err)
		}
	}
}

// A Redis that is killed costs replays and nothing else.
func TestKilled(t *testing.T) {
	server := redistest.Start(t)
	s, ctx, r := store(server), context.Background(), request("a", "body")
	before, _ := begin(t, s, r)
	server.Kill()
	before.Finish(ctx, 200, []byte("lost"))
	for range 3 {
		replay, got := begin(t, s, r)
		if got != "first" {
			t.Fatalf("without Redis: %q", got)
		}
		replay.Finish(ctx, 200, []byte("not kept"))
	}
	s.check(t, map[string]float64{"first": 1, "away": 4})
	server.Restart()
	redistest.Eventually(t, "keys are kept again", func() bool {
		replay, got := begin(t, s, r)
		if got == "first" {
			replay.Finish(ctx, 200, []byte("kept"))
		}
		return got == "200 kept"
	})
}

func TestWithoutServer(t *testing.T) {
	c := redis.Open(config.Redis{Host: "127.0.0.1", Port: 1}, prometheus.NewRegistry())
	defer c.Close()
	s := New(c, time.Second, prometheus.NewRegistry())
	for range 100 {
		if _, got := begin(t, s, request("a", "")); got != "first" {
			t.Fatalf("without Redis: %q", got)
		}
	}
	s.check(t, map[string]float64{"away": 100})
}

func FuzzDecode(f *testing.F) {
	f.Add(record{state: done, digest: "digest", rest: []byte("rest")}.encode(), []byte("\x00\xc8\x00\x01pbody"))
	f.Fuzz(func(t *testing.T, s string, plain []byte) {
		if rec, ok := decode(s); ok && rec.encode() != s {
			t.Errorf("%q does not survive", s)
		}
		if status, body, ok := unpack(plain, "p"); ok && !bytes.Equal(pack(status, body, "p"), plain) {
			t.Errorf("%q does not survive", plain)
		}
	})
}
