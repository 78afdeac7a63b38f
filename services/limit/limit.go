// Package limit holds identities (API keys, tenants, addresses) to so many requests a minute, by the generic cell
// rate algorithm: each identity has a theoretical arrival time (TAT), every request moves it by one interval, and a
// request is refused that would move it more than a minute ahead of now. So a minute's worth may come at once.
//
// Decisions are made from memory and never wait. Replicas agree through Redis: every syncEvery each adds what it has
// charged to the shared TAT, and takes that over where it is later than its own. So over its limit an identity gets
// at most what the other replicas let through between two syncs, and a sync that is slow counts as long as it takes.
// At worst, an identity that no replica has seen lately can have its burst on each of them at once. What it got too
// much is charged all the same and delays what comes later, up to maxDebt.
//
// While Redis is away each replica limits alone. Afterwards each hands in what its identities still owe.
package limit

import (
	"hash/maphash"
	"math/bits"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/llama-mapper/llama-mapper/services/redis"
)

// The kinds of identities.
const (
	Key     = "key"
	Tenant  = "tenant"
	Address = "address"
)

var kinds = [...]string{Key, Tenant, Address}

func kindOf(name string) int {
	for i, k := range kinds {
		if k == name {
			return i
		}
	}
	panic("limit: the kind of a rule is none of key, tenant, address")
}

// Rule is the limit of one identity.
type Rule struct {
	Kind      string // Key, Tenant or Address
	ID        string
	PerMinute int // 0 is no limit
}

// interval is the time between requests at the limit.
func (r Rule) interval() time.Duration { return max(1, time.Minute/time.Duration(r.PerMinute)) }

// Decision is the answer to a request. The numbers are those of the tightest rule; Limit is 0 if no rule had one.
type Decision struct {
	Allowed    bool
	Limit      int           // requests a minute
	Remaining  int           // requests that may come at once now
	Reset      time.Duration // until all of Limit may come at once
	RetryAfter time.Duration // until a request is allowed; 0 if this one was
}

// Headers writes RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset, as the drafts of the IETF had them before
// they became one header, and Retry-After for a refusal. Times are in seconds, rounded up.
func (d Decision) Headers(set func(name, value string)) {
	if d.Limit == 0 {
		return
	}
	seconds := func(t time.Duration) string { return strconv.FormatInt(int64((t+time.Second-1)/time.Second), 10) }
	set("RateLimit-Limit", strconv.Itoa(d.Limit))
	set("RateLimit-Remaining", strconv.Itoa(d.Remaining))
	set("RateLimit-Reset", seconds(d.Reset))
	if !d.Allowed {
		set("Retry-After", seconds(d.RetryAfter))
	}
}

// decide holds one more request against a rule; debt is how far the identity's TAT is ahead of now.
func decide(r Rule, debt time.Duration) Decision {
	step := r.interval()
	burst, after := step*time.Duration(r.PerMinute), debt+step
	if after > burst {
		return Decision{Limit: r.PerMinute, Reset: debt, RetryAfter: after - burst}
	}
	return Decision{Allowed: true, Limit: r.PerMinute, Remaining: int((burst - after) / step), Reset: after}
}

// tighter says whether a binds more than b.
func tighter(a, b Decision) bool {
	switch {
	case b.Limit == 0:
		return true
	case a.Allowed != b.Allowed:
		return !a.Allowed
	case a.Allowed:
		return a.Remaining < b.Remaining
	}
	return a.RetryAfter > b.RetryAfter
}

// Limiter decides for one replica. It is safe for concurrent use.
type Limiter struct {
	redis   *redis.Client
	start   time.Time // what all times in shards count from
	seed    maphash.Seed
	shards  [shards]shard
	refused [len(kinds)]prometheus.Counter
	synced  *prometheus.CounterVec

	// Owned by the goroutine of Run.
	handedIn time.Duration // charges before this have reached Redis
	behind   bool          // the last sync failed
}

// New makes a limiter; without r replicas do not agree. Run must be running for as long as it is used.
func New(r *redis.Client, reg prometheus.Registerer) *Limiter {
	auto := promauto.With(reg)
	l := &Limiter{redis: r, start: time.Now(), seed: maphash.MakeSeed()}
	limited := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "rate_limited_total", Help: "Requests refused by the kind of the limit that bound most.",
	}, []string{"kind"})
	for i, k := range kinds {
		l.refused[i] = limited.WithLabelValues(k)
	}
	l.synced = auto.NewCounterVec(prometheus.CounterOpts{
		Name: "limit_sync_total", Help: "Exchanges of charges with Redis, and attempts at one while it is away.",
	}, []string{"result"})
	for _, result := range []string{"ok", "failed"} {
		l.synced.WithLabelValues(result)
	}
	for i := range l.shards {
		l.shards[i].init()
	}
	return l
}

func (l *Limiter) now() time.Duration { return time.Since(l.start) }

func (l *Limiter) shard(id string) uint64 { return maphash.String(l.seed, id) % shards }

// Allow decides on a request and charges it to all rules, or to none if one of them refuses. Rules without a limit do
// not count.
func (l *Limiter) Allow(rules ...Rule) Decision {
	var locked uint64 // a bit for each shard
	for _, r := range rules {
		if r.PerMinute > 0 {
			kindOf(r.Kind) // it may panic only while nothing is locked
			locked |= 1 << l.shard(r.ID)
		}
	}
	if locked == 0 {
		return Decision{Allowed: true}
	}
	l.each(locked, (*shard).lock) // in the order of their numbers, so that two requests never wait for each other
	d, kind := l.settle(rules, l.now())
	l.each(locked, (*shard).unlock)
	if !d.Allowed {
		l.refused[kind].Inc()
	}
	return d
}

func (l *Limiter) each(set uint64, do func(*shard)) {
	for ; set != 0; set &= set - 1 {
		do(&l.shards[bits.TrailingZeros64(set)])
	}
}

// settle is Allow with the shards locked. It also returns the kind of the tightest rule.
func (l *Limiter) settle(rules []Rule, now time.Duration) (tightest Decision, kind int) {
	for _, r := range rules {
		if r.PerMinute <= 0 {
			continue
		}
		k := kindOf(r.Kind)
		if d := decide(r, l.shards[l.shard(r.ID)].books[k].debt(r.ID, now)); tighter(d, tightest) {
			tightest, kind = d, k
		}
	}
	for _, r := range rules {
		if r.PerMinute <= 0 {
			continue
		}
		book := &l.shards[l.shard(r.ID)].books[kindOf(r.Kind)]
		if tightest.Allowed {
			book.charge(r.ID, r.interval(), now)
		} else {
			book.touch(r.ID, now)
		}
	}
	return tightest, kind
}
