package limit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/llama-mapper/llama-mapper/services/redis"
	"github.com/llama-mapper/llama-mapper/services/redis/redistest"
)

// replica is a limiter that shares a Redis; it only syncs when it is told.
func replica(s *redistest.Server) *Limiter {
	return New(s.Open(prometheus.NewRegistry()), prometheus.NewRegistry())
}

// ask sends n requests and returns how many passed.
func ask(l *Limiter, n int, r Rule) (passed int) {
	for range n {
		if l.Allow(r).Allowed {
			passed++
		}
	}
	return passed
}

func count(l *Limiter, result string) float64 {
	return testutil.ToFloat64(l.synced.WithLabelValues(result))
}

// Two replicas that each ask for chunk requests between two syncs let through, together and up to any moment, at most
// the limit, what the rate gives in the time until then and in the slowest sync, and one chunk: that is what one does
// not know of the other.
func TestReplicasConverge(t *testing.T) {
	s := redistest.Start(t)
	f := func(perMinute, chunk int, lasts time.Duration) {
		t.Helper()
		rule := Rule{Key, fmt.Sprint(perMinute), perMinute}
		replicas, passed := []*Limiter{replica(s), replica(s)}, 0
		var slowest time.Duration
		for start := time.Now(); ; {
			now := 0
			for _, l := range replicas {
				now += ask(l, chunk, rule)
			}
			passed += now
			elapsed := time.Since(start)
			if most := perMinute + chunk + int((elapsed+slowest)/rule.interval()) + 1; passed > most {
				t.Fatalf("%d a minute: %d requests passed within %v, at most %d", perMinute, passed, elapsed, most)
			}
			if now == 0 && lasts == 0 || elapsed > lasts && lasts > 0 || elapsed > redistest.Patience {
				break
			}
			for _, l := range replicas {
				before := time.Now()
				l.sync(t.Context())
				slowest = max(slowest, time.Since(before))
			}
		}
		if passed < perMinute {
			t.Errorf("%d a minute: only %d requests passed", perMinute, passed)
		}
		for _, l := range replicas {
			if count(l, "failed") != 0 || count(l, "ok") == 0 {
				t.Errorf("%v syncs failed, %v worked", count(l, "failed"), count(l, "ok"))
			}
		}
	}
	f(60, 5, 0)
	s.Admin.ScriptFlush(t.Context()) // the script is loaded again where it is missing
	f(7, 1, 0)
	f(600, 150, 0)
	f(6000, 20, 1500*time.Millisecond) // goes on at the limit; at 10 ms a request the rate counts
}

// What replicas let through before they knew of each other is paid for, up to maxDebt.
func TestDebtIsBounded(t *testing.T) {
	s := redistest.Start(t)
	rule := Rule{Tenant, "acme", 60}
	replicas := []*Limiter{replica(s), replica(s), replica(s)}
	for _, l := range replicas {
		if n := ask(l, 60, rule); n < 60 {
			t.Fatalf("alone, %d of 60 passed", n)
		}
	}
	for range 2 {
		for _, l := range replicas {
			l.sync(t.Context())
			l.books(rule).entries[rule.ID].owed++ // so that it asks once more
		}
	}
	for _, l := range replicas {
		d := l.Allow(rule)
		if d.Allowed || d.Reset > maxDebt || d.RetryAfter > maxDebt-time.Minute+rule.interval() {
			t.Errorf("the decision is %+v", d)
		}
	}
	key := redis.Prefix + "limit:tenant:acme"
	if ttl := s.Admin.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > maxDebt+time.Second {
		t.Errorf("the key in Redis lives for %v", ttl)
	}
}

func (l *Limiter) books(r Rule) *book { return &l.shards[l.shard(r.ID)].books[kindOf(r.Kind)] }

// A Redis that has lost its data gets the debts back from those who know them.
func TestDataLost(t *testing.T) {
	s := redistest.Start(t)
	a, b, rule, start := replica(s), replica(s), Rule{Key, "k", 60}, time.Now()
	passed := ask(a, 30, rule)
	a.sync(t.Context())
	if err := s.Admin.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	passed += ask(a, 1, rule) + ask(b, 1, rule)
	a.sync(t.Context())
	b.sync(t.Context())
	passed += ask(b, 100, rule)
	if most := 60 + 1 + int((time.Since(start)+slack)/time.Second) + 1; passed > most {
		t.Errorf("%d requests passed, at most %d", passed, most)
	}
}

// What a failed sync had with it is handed in by the next one that works.
func TestFailedSync(t *testing.T) {
	s := redistest.Start(t)
	a, b, rule := replica(s), replica(s), Rule{Key, "k", 1}
	a.Allow(rule)
	s.Kill()
	a.sync(t.Context())
	if count(a, "failed") != 1 || a.books(rule).entries[rule.ID].owed != 0 {
		t.Fatalf("the sync did not fail on its way: %+v", a.books(rule).entries[rule.ID])
	}
	s.Restart()
	redistest.Eventually(t, "a sync works", func() bool {
		a.sync(t.Context())
		return count(a, "ok") > 0
	})
	b.Allow(rule)
	b.sync(t.Context())
	if d := b.Allow(rule); d.Reset <= time.Minute {
		t.Errorf("b does not know of a: %+v", d)
	}
}

// More identities than fit one pipeline all reach the other replica.
func TestManyIdentities(t *testing.T) {
	s := redistest.Start(t)
	a, b := replica(s), replica(s)
	rule := func(i int) Rule { return Rule{Address, fmt.Sprint(i), 1} }
	for i := range 2*pipelineSize + 1 {
		a.Allow(rule(i))
		b.Allow(rule(i))
	}
	a.sync(t.Context())
	b.sync(t.Context())
	for i := range 2*pipelineSize + 1 {
		if d := b.Allow(rule(i)); d.Allowed || d.Reset <= time.Minute {
			t.Fatalf("identity %d: b does not know of a: %+v", i, d)
		}
	}
	if n := len(a.collect()); n != 0 {
		t.Errorf("%d identities would be handed in again", n)
	}
}

// While Redis does not answer, requests do not wait for the sync that does.
func TestFrozen(t *testing.T) {
	s := redistest.Start(t)
	l, rule := replica(s), Rule{Key, "k", 60}
	l.Allow(rule)
	l.sync(t.Context())
	s.Freeze()
	defer s.Thaw()
	ask(l, 1, rule)
	done := make(chan struct{})
	go func() {
		l.sync(context.Background())
		close(done)
	}()
	redistest.Eventually(t, "the sync is on its way", func() bool {
		sh := &l.shards[l.shard(rule.ID)] // its lock is free while Redis is waited for
		sh.lock()
		defer sh.unlock()
		return l.books(rule).entries[rule.ID].owed == 0
	})
	ask(l, 100, rule)
	select {
	case <-done:
		t.Error("the sync ended though Redis is frozen")
	default:
	}
	s.Thaw()
	<-done
}

// A Redis that is killed changes nothing for requests: each replica goes on alone, and they agree again afterwards.
func TestKilled(t *testing.T) {
	s := redistest.Start(t)
	a, b := replica(s), replica(s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	for _, l := range []*Limiter{a, b} {
		go func() {
			l.Run(ctx)
			ended <- struct{}{}
		}()
	}
	defer func() {
		cancel()
		<-ended
		<-ended
	}()
	n := 0
	synced := func(l *Limiter, result string) { // until a sync that began after this call has worked, or one has failed
		t.Helper()
		want := count(l, result) + map[string]float64{"ok": 2, "failed": 1}[result]
		redistest.Eventually(t, "a sync is "+result, func() bool {
			n++
			l.Allow(Rule{Address, fmt.Sprint(n), 1})
			return count(l, result) >= want
		})
	}
	agree := func(rule Rule) { // a has used it up, and b learns that from its first request
		t.Helper()
		b.Allow(rule)
		synced(a, "ok")
		synced(b, "ok")
		if d := b.Allow(rule); d.Allowed {
			t.Errorf("%s: b does not know of a: %+v", rule.ID, d)
		}
	}
	alone := func(l *Limiter, rule Rule) {
		t.Helper()
		if d := l.Allow(rule); !d.Allowed || l.Allow(rule).Allowed {
			t.Errorf("%s: not exactly the limit passed", rule.ID)
		}
	}
	alone(a, Rule{Key, "before", 1})
	synced(a, "ok")
	agree(Rule{Key, "before", 1})
	s.Kill()
	synced(a, "failed")
	synced(b, "failed")
	alone(a, Rule{Key, "meanwhile", 1})
	alone(b, Rule{Key, "alone", 1})
	if a.Allow(Rule{Key, "before", 1}).Allowed {
		t.Error("a forgot what it knew")
	}
	s.Restart()
	synced(a, "ok")
	agree(Rule{Key, "meanwhile", 1})
	alone(a, Rule{Key, "after", 1})
	agree(Rule{Key, "after", 1})
}
