package limit

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func local() *Limiter { return New(nil, prometheus.NewRegistry()) }

// bubbled hides a test's Deadline, which rapid asks for and a synctest bubble does not allow.
type bubbled struct{ rapid.TB }

// A limiter decides as a bucket does that holds a minute's worth and fills steadily, and what it allows in any span of
// time is at most the burst and what the rate gives in that span.
func TestAgainstBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) {
			l, rule := local(), Rule{Kind: Key, ID: "a", PerMinute: rapid.IntRange(1, 100).Draw(t, "per minute")}
			step := time.Minute / time.Duration(rule.PerMinute)
			burst := step * time.Duration(rule.PerMinute)
			level, last, passed := burst, time.Now(), []time.Time{}
			for range rapid.IntRange(1, 150).Draw(t, "requests") {
				time.Sleep(time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(3*step))).Draw(t, "pause")))
				level, last = min(burst, level+time.Since(last)), time.Now()
				want := Decision{Limit: rule.PerMinute}
				if level >= step {
					level -= step
					want.Allowed, want.Remaining = true, int(level/step)
					passed = append(passed, last)
				} else {
					want.RetryAfter = step - level
				}
				want.Reset = burst - level
				if got := l.Allow(rule); got != want {
					t.Fatalf("got %+v, want %+v", got, want)
				}
			}
			for i := range passed {
				for j := i; j < len(passed); j++ {
					if n, most := j-i+1, rule.PerMinute+int(passed[j].Sub(passed[i])/step); n > most {
						t.Fatalf("%d requests within %v, at most %d", n, passed[j].Sub(passed[i]), most)
					}
				}
			}
		})
	})
}

// Of several rules each decides as if it were alone, a refusal charges none, and the tightest is reported.
func TestAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) {
			together, alone := local(), local()
			limits := map[string]int{}
			for range rapid.IntRange(1, 100).Draw(t, "requests") {
				time.Sleep(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "pause")))
				var rules []Rule
				for _, kind := range kinds {
					id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")
					if _, known := limits[kind+id]; !known {
						limits[kind+id] = rapid.IntRange(0, 20).Draw(t, "limit")
					}
					rules = append(rules, Rule{kind, id, limits[kind+id]})
				}
				want := Decision{Allowed: true}
				for _, r := range rules {
					if r.PerMinute > 0 {
						debt := alone.shards[alone.shard(r.ID)].books[kindOf(r.Kind)].debt(r.ID, alone.now())
						if d := decide(r, debt); tighter(d, want) {
							want = d
						}
					}
				}
				if want.Allowed {
					for _, r := range rules {
						alone.Allow(r)
					}
				}
				if got := together.Allow(rules...); got != want {
					t.Fatalf("rules %v: got %+v, want %+v", rules, got, want)
				}
			}
		})
	})
}

func TestTightest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l := New(nil, reg)
		f := func(want Decision, rules ...Rule) {
			t.Helper()
			if got := l.Allow(rules...); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		key, tenant := Rule{Key, "k", 2}, Rule{Tenant, "t", 3}
		f(Decision{Allowed: true})
		f(Decision{Allowed: true}, Rule{Key, "k", 0})
		f(Decision{Allowed: true, Limit: 2, Remaining: 1, Reset: 30 * time.Second}, key, tenant)
		f(Decision{Allowed: true, Limit: 2, Remaining: 0, Reset: time.Minute}, tenant, key)
		f(Decision{Limit: 2, Reset: time.Minute, RetryAfter: 30 * time.Second}, key, tenant) // the tenant is not charged
		f(Decision{Allowed: true, Limit: 3, Remaining: 0, Reset: time.Minute}, tenant)
		f(Decision{Limit: 2, Reset: time.Minute, RetryAfter: 30 * time.Second}, tenant, key) // the tenant's would be 20 s
		time.Sleep(30 * time.Second)
		f(Decision{Allowed: true, Limit: 2, Remaining: 0, Reset: time.Minute}, key, tenant)
		for kind, want := range map[string]float64{Key: 2, Tenant: 0, Address: 0} {
			if got := testutil.ToFloat64(l.refused[kindOf(kind)]); got != want {
				t.Errorf("%v requests were refused by %s, want %v", got, kind, want)
			}
		}
	})
}

func TestUnknownKind(t *testing.T) {
	l := local()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a kind that nobody knows passed")
			}
		}()
		l.Allow(Rule{Key, "a", 1}, Rule{"user", "a", 1})
	}()
	if !l.Allow(Rule{Key, "a", 1}).Allowed { // and no lock is left behind
		t.Error("the rule beside it was charged")
	}
}

func TestHeaders(t *testing.T) {
	f := func(d Decision, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		d.Headers(func(name, value string) { got[name] = value })
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(Decision{Allowed: true}, map[string]string{})
	f(Decision{Allowed: true, Limit: 600, Remaining: 599, Reset: 100 * time.Millisecond},
		map[string]string{"RateLimit-Limit": "600", "RateLimit-Remaining": "599", "RateLimit-Reset": "1"})
	f(Decision{Limit: 600, Reset: time.Minute, RetryAfter: time.Second + 1},
		map[string]string{"RateLimit-Limit": "600", "RateLimit-Remaining": "0", "RateLimit-Reset": "60", "Retry-After": "2"})
}

// Goroutines that ask at once, for rules in different orders, get exactly the limit, and none waits for ever.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, passed := local(), atomic.Int64{}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 500 {
					rules := []Rule{{Tenant, "t", 1000}, {Key, fmt.Sprint("k", i%7), 100000}, {Address, "t", 2000}}
					if g%2 == 0 {
						rules[0], rules[1] = rules[1], rules[0]
					}
					if l.Allow(rules...).Allowed {
						passed.Add(1)
					}
				}
			})
		}
		wg.Wait() // the clock stands still for as long as one of them runs
		if passed.Load() != 1000 {
			t.Errorf("%d requests passed, want 1000", passed.Load())
		}
	})
}

func (l *Limiter) size(kind string) (n int) {
	for i := range l.shards {
		l.shards[i].lock()
		n += len(l.shards[i].books[kindOf(kind)].entries)
		l.shards[i].unlock()
	}
	return n
}

func TestForgetsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := local()
		go l.Run(t.Context())
		l.Allow(Rule{Key, "short", 600})
		l.Allow(Rule{Key, "long", 1})
		time.Sleep(2 * forgetEvery)
		synctest.Wait()
		if n := l.size(Key); n != 1 {
			t.Errorf("%d identities are kept, want the one that owes", n)
		}
		if l.Allow(Rule{Key, "long", 1}).Allowed {
			t.Error("an identity that owes was forgotten")
		}
		time.Sleep(time.Minute + forgetEvery)
		synctest.Wait()
		if n := l.size(Key); n != 0 {
			t.Errorf("%d identities are kept, want none", n)
		}
	})
}

// However many ask, memory has a bound; who has not asked for longest goes first.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := local()
		for i := range 3 * maxIdentities {
			l.Allow(Rule{Address, fmt.Sprint(i), 1})
			if i%100 == 0 && l.Allow(Rule{Address, "busy", 1}).Allowed != (i == 0) { // a refusal keeps it known
				t.Fatal("an identity that asks all the time was forgotten")
			}
		}
		if n := l.size(Address); n > maxIdentities {
			t.Errorf("%d identities are kept, at most %d", n, maxIdentities)
		}
		if l.Allow(Rule{Address, fmt.Sprint(3*maxIdentities - 1), 1}).Allowed {
			t.Error("the last identity was forgotten")
		}
		if !l.Allow(Rule{Address, "0", 1}).Allowed {
			t.Error("the first identity is still known")
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	b.Run("key and tenant", func(b *testing.B) {
		l := local()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Allow(Rule{Key, "01890a5d-ac96-774b-bcce-b302099a8057", 1e9}, Rule{Tenant, "acme", 1e9})
			}
		})
	})
	b.Run("address of 100000", func(b *testing.B) {
		l, ids := local(), make([]string, maxIdentities)
		for i := range ids {
			ids[i] = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				l.Allow(Rule{Address, ids[i*7919%len(ids)], 120})
			}
		})
	})
}
