package limit

import (
	"context"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/llama-mapper/llama-mapper/services/redis"
)

const (
	// syncEvery is how often replicas tell each other, which is how long they do not know of each other.
	syncEvery = 50 * time.Millisecond

	// maxDebt bounds how long an identity waits for what it got too much on several replicas.
	maxDebt = 2 * time.Minute

	// slack is how much of a debt is forgiven when Redis has lost its data. It must be more than a sync can take, or
	// each sync would add the time that it took to the shared TAT.
	slack = time.Second

	// pipelineSize is how many identities go in one pipeline; rarely more than one pipeline is needed.
	pipelineSize = 1000
)

// source is a script that adds what a replica has charged to the shared TAT and returns how far that is ahead, in microseconds. The TAT
// is in microseconds of Redis's clock, so the replicas' clocks do not matter. It is at least what the replica knows of
// the identity's debt: that brings a debt back that Redis has lost, or was not told of while it was away. ARGV: what
// was charged, the known debt, the largest debt, in nanoseconds.
const source = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '') or 0, now) + ARGV[1] / 1000
tat = math.min(math.max(tat, now + ARGV[2] / 1000), now + ARGV[3] / 1000)
redis.call('SET', KEYS[1], string.format('%.3f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
return math.floor(tat - now)
`

// hash is how Redis names the script once it has it.
var hash = goredis.NewScript(source).Hash()

// claim is what a sync says about an identity, and what it hears.
type claim struct {
	kind      int
	id        string
	owed, tat time.Duration
	shared    *goredis.Cmd
}

// Run exchanges charges with Redis and forgets idle identities until ctx ends. It must run once.
func (l *Limiter) Run(ctx context.Context) {
	sync, forget := time.NewTicker(syncEvery), time.NewTicker(forgetEvery)
	defer sync.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sync.C:
			if l.redis != nil {
				l.sync(ctx)
			}
		case <-forget.C:
			l.forget()
		}
	}
}

func (l *Limiter) forget() {
	handsIn := l.redis != nil && !l.behind
	for i := range l.shards {
		s := &l.shards[i]
		s.lock()
		for k := range s.books {
			s.books[k].forget(l.now(), handsIn)
		}
		s.unlock()
	}
}

// sync hands in what was charged since the last sync that worked. One that fails is not repeated: what it had is still
// in the debts, which the next one that works hands in.
func (l *Limiter) sync(ctx context.Context) {
	if !l.redis.Up() {
		l.behind = true
		return
	}
	if l.behind && l.redis.Ping(ctx) != nil { // all debts are collected only for a Redis that is there
		l.fail(ctx)
		return
	}
	since := l.now()
	claims := l.collect()
	for part := range slices.Chunk(claims, pipelineSize) {
		sent := l.now()
		if err := l.exchange(ctx, part); err != nil {
			l.fail(ctx)
			return
		}
		l.learn(part, sent)
	}
	l.handedIn, l.behind = since, false
	if len(claims) > 0 {
		l.synced.WithLabelValues("ok").Inc()
	}
}

func (l *Limiter) fail(ctx context.Context) {
	l.behind = true
	if ctx.Err() == nil { // else we are stopping
		l.synced.WithLabelValues("failed").Inc()
	}
}

// collect takes what identities have been charged since the last sync, and after a failure also what they still owe.
func (l *Limiter) collect() (claims []claim) {
	for i := range l.shards {
		s := &l.shards[i]
		s.lock()
		now := l.now()
		for k := range s.books {
			ends := &s.books[k].ends
			for e := ends.older; e != ends && e.asked >= l.handedIn; e = e.older {
				if e.owed > 0 || l.behind && e.tat > now {
					claims = append(claims, claim{kind: k, id: e.id, owed: e.owed, tat: e.tat})
					e.owed = 0
				}
			}
		}
		s.unlock()
	}
	return claims
}

// exchange asks Redis for the shared TAT of each claim. A Redis that does not have the script gets it.
func (l *Limiter) exchange(ctx context.Context, claims []claim) error {
	for load := false; ; load = true {
		pipe, now := l.redis.Pipeline(), l.now()
		if load {
			pipe.ScriptLoad(ctx, source)
		}
		for i := range claims {
			c := &claims[i]
			if c.shared == nil || goredis.HasErrorPrefix(c.shared.Err(), "NOSCRIPT") {
				c.shared = pipe.EvalSha(ctx, hash, []string{redis.Prefix + "limit:" + kinds[c.kind] + ":" + c.id},
					int64(c.owed), int64(c.tat-now-slack), int64(maxDebt))
			}
		}
		if _, err := pipe.Exec(ctx); err == nil || load || !goredis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
	}
}

// learn takes the shared TATs over. They were ahead of Redis's clock by what it said at some time after sent; counting
// from sent charges nobody for the network.
func (l *Limiter) learn(claims []claim, sent time.Duration) {
	for _, c := range claims {
		ahead, err := c.shared.Int64()
		if err != nil {
			continue // exchange has seen all errors
		}
		s := &l.shards[l.shard(c.id)]
		s.lock()
		if e := s.books[c.kind].entries[c.id]; e != nil {
			e.tat = max(e.tat, sent+time.Duration(ahead)*time.Microsecond+e.owed)
		}
		s.unlock()
	}
}
