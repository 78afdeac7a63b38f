package fanout

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// key is what is known of a detector.
type key struct {
	name    string
	slots   chan struct{} // has one for each attempt that runs
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	uses    int // guarded by keys.mu

	mu             sync.Mutex // guards the rest
	notBefore      time.Time  // it wants to be left alone until then
	retries, hedge float64    // that it has left
	times          [64]time.Duration
	answers        int // that times are of; the latest replaces the oldest
}

// counted counts a request that was made, which lets a share of further attempts follow.
func (k *key) counted() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retries, k.hedge = min(burst, k.retries+retryShare), min(burst, k.hedge+hedgeShare)
}

// spend takes one out of a budget of the key's, if it has one.
func (k *key) spend(budget *float64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if *budget < 1 {
		return false
	}
	*budget--
	return true
}

// answered keeps how long an answer took.
func (k *key) answered(took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.times[k.answers%len(k.times)] = took
	k.answers++
}

// slow is the time that 95 of 100 answers took at most, or all of those that there are; enough says whether there are
// enough to go by. 0 is that of none.
func (k *key) slow() (slow time.Duration, enough bool) {
	k.mu.Lock()
	n, times := min(k.answers, len(k.times)), k.times
	k.mu.Unlock()
	slices.Sort(times[:n])
	return times[n*95/100], n >= 20
}

// leave keeps everybody from the detector for a time.
func (k *key) leave(alone time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if until := time.Now().Add(alone); until.After(k.notBefore) {
		k.notBefore = until
	}
}

func (k *key) left() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.notBefore.IsZero() && time.Now().Before(k.notBefore)
}

// keys are those in use, and as many of the others as there is room for, those used last.
type keys struct {
	options Options
	open    prometheus.Gauge
	mu      sync.Mutex // guards the rest
	used    map[string]*key
	idle    *simplelru.LRU[string, *key]
}

func newKeys(o Options, open prometheus.Gauge) *keys {
	ks := &keys{options: o, open: open, used: map[string]*key{}}
	ks.idle, _ = simplelru.NewLRU[string, *key](o.Keys, nil) // its only error is a size below 1
	return ks
}

// get returns a key, which is in use until put.
func (ks *keys) get(c Call) *key {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	k, ok := ks.used[c.Key]
	if !ok {
		if k, ok = ks.idle.Peek(c.Key); ok {
			ks.idle.Remove(c.Key)
		} else {
			k = ks.fresh(c)
		}
		ks.used[c.Key] = k
	}
	k.uses++
	return k
}

// again is one more use of a key in use.
func (ks *keys) again(k *key) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	k.uses++
}

func (ks *keys) put(k *key) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if k.uses--; k.uses > 0 {
		return
	}
	delete(ks.used, k.name)
	if ks.idle.Len()+len(ks.used) >= ks.options.Keys {
		if _, old, ok := ks.idle.RemoveOldest(); ok && old.breaker != nil && old.breaker.State() != gobreaker.StateClosed {
			ks.open.Dec()
		}
	}
	ks.idle.Add(k.name, k)
}

func (ks *keys) fresh(c Call) *key {
	if c.Local {
		return &key{name: c.Key, slots: make(chan struct{}, localAtOnce)}
	}
	o := ks.options
	return &key{name: c.Key, slots: make(chan struct{}, o.AtOnce), retries: burst, breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: uint32(o.Trials), Timeout: o.Open,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(o.Failures) },
		IsSuccessful: func(err error) bool { return err == nil }, IsExcluded: neutral,
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				ks.open.Inc()
			case to == gobreaker.StateClosed:
				ks.open.Dec()
			}
		},
	})}
}
