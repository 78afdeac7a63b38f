package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/api"
)

func TestComparison(t *testing.T) {
	var c Comparison
	c.Add(api.ActionBlock, api.ActionBlock, 2)
	c.Add(api.ActionFlag, api.ActionBlock, 12)
	c.Add(api.ActionBlock, api.ActionReview, 1)
	c.Add(api.ActionBlock, api.ActionReview, 1)
	c.Add(api.ActionAllow, api.ActionAllow, 4)
	raw, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"compared":20,"same":6,"stricter":12,"milder":2,"pairs":[{"live":"allow","shadow":"allow","count":4},{"live":"flag","shadow":"block","count":12},` +
		`{"live":"block","shadow":"review","count":2},{"live":"block","shadow":"block","count":2}],"only_live_blocks":2,"only_shadow_blocks":12,"p":0.0129`
	if !strings.HasPrefix(string(raw), want) {
		t.Errorf("%s\nwant %s", raw, want)
	}
}

// The values of the tails are counted by hand; those of the intervals are from a second implementation of the method.
func TestFormulas(t *testing.T) {
	for _, c := range []struct {
		b, c int
		want float64
	}{{0, 0, 1}, {3, 3, 1}, {0, 5, 2.0 / 32}, {12, 2, 212.0 / 16384}, {2, 12, 212.0 / 16384}, {5, 6, 1}, {0, 2000, 0}} {
		if got := mcNemar(c.b, c.c); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d, %d: %v, want %v", c.b, c.c, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b, c, d int
		want       string
	}{{36, 12, 2, 0, "0.2000 0.0569 0.3404"}, {1, 1, 7, 12, "-0.2857 -0.5069 -0.0256"}, {59, 6, 16, 80, "-0.0621 -0.1186 -0.0046"}, {0, 0, 0, 0, "0.0000 -1.0000 1.0000"}} {
		d, low, high := paired(c.a, c.b, c.c, c.d)
		if got := fmt.Sprintf("%.4f %.4f %.4f", d, low, high); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

func TestDifferenceHasBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 10000)
		a, b, c, d := n.Draw(t, "a"), n.Draw(t, "b"), n.Draw(t, "c"), n.Draw(t, "d")
		diff, low, high := paired(a, b, c, d)
		other, otherLow, otherHigh := paired(a, c, b, d)
		if !(-1 <= low && low <= diff && diff <= high && high <= 1) || math.Abs(diff+other)+math.Abs(low+otherHigh)+math.Abs(high+otherLow) > 1e-9 {
			t.Fatal(diff, low, high, other, otherLow, otherHigh)
		}
		if p := mcNemar(b, c); !(p >= 0 && p <= 1) || p != mcNemar(c, b) {
			t.Fatal(p)
		}
	})
}
