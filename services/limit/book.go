package limit

import (
	"strings"
	"sync"
	"time"
)

// Memory is bounded: a kind has at most maxIdentities, spread over the shards. Those that owe nothing are forgotten
// every forgetEvery. If a shard's share of a kind is full, the identity that has not asked for longest is forgotten,
// even if it owes: alone, it starts anew; with Redis, what it owed comes back with the first sync after its next
// request.
const (
	shards        = 64
	maxIdentities = 100_000
	forgetEvery   = time.Second
)

// shard is a part of the identities.
type shard struct {
	mu    sync.Mutex // guards books
	books [len(kinds)]book
}

func (s *shard) init() {
	for i := range s.books {
		s.books[i].init(maxIdentities / shards)
	}
}

func (s *shard) lock()   { s.mu.Lock() }
func (s *shard) unlock() { s.mu.Unlock() }

// book has the identities of one kind in the order in which they last asked.
type book struct {
	entries map[string]*entry
	ends    entry // of a ring: ends.older is the latest that asked, ends.newer the earliest
	cap     int
}

// entry is one identity. Times count from the limiter's start.
type entry struct {
	id           string
	newer, older *entry
	tat          time.Duration
	owed         time.Duration // charged since the last sync
	asked        time.Duration // when it last asked
}

func (b *book) init(limit int) {
	b.entries, b.cap = map[string]*entry{}, limit
	b.ends.newer, b.ends.older = &b.ends, &b.ends
}

// debt is how far an identity's TAT is ahead.
func (b *book) debt(id string, now time.Duration) time.Duration {
	if e := b.entries[id]; e != nil {
		return max(0, e.tat-now)
	}
	return 0
}

// charge moves an identity's TAT by one interval.
func (b *book) charge(id string, interval, now time.Duration) {
	e := b.entries[id]
	if e == nil {
		if len(b.entries) >= b.cap {
			b.drop(b.ends.newer)
		}
		e = &entry{id: strings.Clone(id)} // the caller's string may be part of something large
		b.entries[e.id] = e
		b.front(e, now)
	} else {
		b.touch(id, now)
	}
	e.tat = max(e.tat, now) + interval
	e.owed += interval
}

// touch notes that an identity has asked.
func (b *book) touch(id string, now time.Duration) {
	if e := b.entries[id]; e != nil {
		e.newer.older, e.older.newer = e.older, e.newer
		b.front(e, now)
	}
}

func (b *book) front(e *entry, now time.Duration) {
	e.asked = now
	e.newer, e.older = &b.ends, b.ends.older
	e.newer.older, e.older.newer = e, e
}

func (b *book) drop(e *entry) {
	e.newer.older, e.older.newer = e.older, e.newer
	delete(b.entries, e.id)
}

// forget drops who owes nothing and has nothing to hand in.
func (b *book) forget(now time.Duration, handsIn bool) {
	for e := b.ends.newer; e != &b.ends; {
		next := e.newer
		if e.tat <= now && (e.owed == 0 || !handsIn) {
			b.drop(e)
		}
		e = next
	}
}
