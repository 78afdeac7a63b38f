package fanout

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Keys in use are kept; of the others, those used last.
func TestKeys(t *testing.T) {
	p := New(Options{Keys: 3}, prometheus.NewRegistry())
	get := func(name string) *key { return p.keys.get(Call{Key: name}) }
	use := func(name string) *key {
		k := get(name)
		p.keys.put(k)
		return k
	}
	a, b := get("a"), use("b")
	for range 5 {
		done, _ := b.breaker.Allow()
		done(again)
	}
	for _, name := range []string{"c", "d", "e"} {
		use(name)
	}
	if get("a") != a {
		t.Error("one in use is gone")
	}
	if open := testutil.ToFloat64(p.metrics.open); open != 0 {
		t.Errorf("%v are open", open)
	}
	if use("b") == b {
		t.Error("there are too many")
	}
	if n := p.keys.idle.Len() + len(p.keys.used); n != 3 {
		t.Errorf("%d keys", n)
	}
}
