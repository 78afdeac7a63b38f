package policy

import (
	"encoding/json"
	"math"

	"github.com/llama-mapper/llama-mapper/api"
)

// Comparison counts what two policies said about the same content: the one that is in force and its shadow.
type Comparison struct {
	pairs map[Pair]int
}

// Pair is what the two said about one content.
type Pair struct {
	Live   api.Action `json:"live"`
	Shadow api.Action `json:"shadow"`
}

// PairCount is how often the two said so.
type PairCount struct {
	Pair
	Count int `json:"count"`
}

// Difference says what the shadow would change.
type Difference struct {
	Compared   int         `json:"compared"`
	Same       int         `json:"same"`
	Stricter   int         `json:"stricter"` // where the shadow is
	Milder     int         `json:"milder"`
	Pairs      []PairCount `json:"pairs"` // by the live action, then by the shadow's; none that never happened
	OnlyLive   int         `json:"only_live_blocks"`
	OnlyShadow int         `json:"only_shadow_blocks"`
	P          float64     `json:"p"`                // that blocking would differ so much by chance: McNemar's test, exact and two-sided
	Rate       float64     `json:"block_rate_delta"` // the shadow's share of blocks, less the live one's
	Low        float64     `json:"block_rate_delta_low"`
	High       float64     `json:"block_rate_delta_high"` // of 95 %, by Newcombe's method 10
}

// Add counts n contents.
func (c *Comparison) Add(live, shadow api.Action, n int) {
	if c.pairs == nil {
		c.pairs = map[Pair]int{}
	}
	c.pairs[Pair{live, shadow}] += n
}

// Difference sums up what was counted.
func (c *Comparison) Difference() Difference {
	d := Difference{Pairs: []PairCount{}}
	both := 0
	for _, live := range api.Actions {
		for _, shadow := range api.Actions {
			n := c.pairs[Pair{live, shadow}]
			if n == 0 {
				continue
			}
			d.Compared += n
			d.Pairs = append(d.Pairs, PairCount{Pair{live, shadow}, n})
			switch weaker(live, shadow) {
			case 0:
				d.Same += n
			case -1:
				d.Stricter += n
			default:
				d.Milder += n
			}
			switch {
			case live == api.ActionBlock && shadow == api.ActionBlock:
				both += n
			case live == api.ActionBlock:
				d.OnlyLive += n
			case shadow == api.ActionBlock:
				d.OnlyShadow += n
			}
		}
	}
	d.P = mcNemar(d.OnlyLive, d.OnlyShadow)
	d.Rate, d.Low, d.High = paired(both, d.OnlyShadow, d.OnlyLive, d.Compared-both-d.OnlyLive-d.OnlyShadow)
	return d
}

// MarshalJSON writes the Difference.
func (c *Comparison) MarshalJSON() ([]byte, error) { return json.Marshal(c.Difference()) }

// mcNemar is the two-sided exact test of b against c discordant pairs, which are heads and tails of a fair coin if there
// is no difference: twice the smaller tail, at most 1 (Q. McNemar, Psychometrika 12, 1947; Agresti, Categorical Data
// Analysis, section 11.1).
func mcNemar(b, c int) float64 {
	n, k := float64(b+c), float64(min(b, c))
	if b == c {
		return 1
	}
	term := math.Exp(logChoose(n, k) - n*math.Ln2)
	sum := 0.0
	for ; k >= 0 && term > sum*1e-17; k-- {
		sum += term
		term *= k / (n - k + 1)
	}
	return min(1, 2*sum)
}

func logChoose(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

// paired is the difference of two shares of the same n things, which are both in a, only in the first in b, only in the
// second in c and in neither in d, with its 95 % interval: method 10 of R. G. Newcombe, Improved confidence intervals for
// the difference between binomial proportions based on paired data, Statistics in Medicine 17, 1998, 2635-2650, which
// is Wilson's intervals, squared and added, less their correlation. Of nothing, the difference may be anything.
func paired(a, b, c, d int) (difference, low, high float64) {
	n := float64(a + b + c + d)
	if n == 0 {
		return 0, -1, 1
	}
	p1, l1, u1 := wilson(float64(a+b), n)
	p2, l2, u2 := wilson(float64(a+c), n)
	phi := correlation(float64(a), float64(b), float64(c), float64(d))
	side := func(x, y float64) float64 { return math.Sqrt(max(0, x*x-2*phi*x*y+y*y)) }
	difference = float64(b-c) / n
	return difference, max(-1, difference-side(p1-l1, u2-p2)), min(1, difference+side(u1-p1, p2-l2)) // rounding may pass them by a bit
}

// correlation is phi, corrected for continuity as the method says.
func correlation(a, b, c, d float64) float64 {
	margins := (a + b) * (c + d) * (a + c) * (b + d)
	cross := a*d - b*c
	if n := a + b + c + d; cross > 0 {
		cross = max(0, cross-n/2)
	}
	if margins == 0 {
		return 0
	}
	return cross / math.Sqrt(margins)
}

// wilson is a share and its 95 % score interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927).
func wilson(k, n float64) (share, low, high float64) {
	const z = 1.959963984540054
	share = k / n
	middle, half := share+z*z/(2*n), z*math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return share, (middle - half) / (1 + z*z/n), (middle + half) / (1 + z*z/n)
}
