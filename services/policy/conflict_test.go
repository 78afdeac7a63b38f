package policy

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/api"
)

// says is a detector's vote.
func says(detector string, score, confidence float64, more ...func(*vote)) vote {
	v := vote{detector: detector, weight: 1, threshold: 0.5, score: score, confidence: confidence, said: score >= 0.5}
	for _, m := range more {
		m(&v)
	}
	return v
}

func heavy(v *vote)  { v.weight = 3 }
func needed(v *vote) { v.required = true }

func TestStrategies(t *testing.T) {
	for _, c := range []struct {
		strategy Strategy
		votes    []vote
		want     string // holds score confidence winner tie delta
	}{
		{WeightedAverage, []vote{says("a", 0.9, 1), says("b", 0.2, 0.5)}, "true 0.55 1.00 a  0.90"},
		{WeightedAverage, []vote{says("a", 0.9, 1), says("b", 0, 0)}, "false 0.45 1.00 a  0.90"},
		{WeightedAverage, []vote{says("a", 0.9, 1, heavy), says("b", 0, 0)}, "true 0.68 1.00 a  0.90"},
		{WeightedAverage, []vote{says("a", 0.6, 0.8)}, "true 0.60 0.80 a  0.60"},
		{MajorityVote, []vote{says("a", 0.9, 1), says("b", 0.2, 1), says("c", 0, 0)}, "false 0.90 1.00 a  0.90"},
		{MajorityVote, []vote{says("a", 0.9, 1), says("b", 0.6, 1), says("c", 0, 0)}, "true 0.90 1.00 a  0.30"},
		{MajorityVote, []vote{says("a", 0.9, 1), says("b", 0.2, 1)}, "true 0.90 1.00 a  0.90"},
		{HighestConfidence, []vote{says("a", 0.9, 0.6), says("b", 0.2, 0.7)}, "false 0.20 0.70 b  -0.70"},
		{HighestConfidence, []vote{says("a", 0.9, 0.7), says("b", 0.2, 0.7)}, "true 0.90 0.70 a score 0.70"},
		{HighestConfidence, []vote{says("b", 0.9, 0.7), says("a", 0.9, 0.7)}, "true 0.90 0.70 a name 0.00"},
		{MostRestrictive, []vote{says("a", 0.6, 0.1), says("b", 0.1, 1), says("c", 0, 0)}, "true 0.60 0.10 a  0.60"},
		{MostRestrictive, []vote{says("a", 0.6, 0.1), says("b", 0.6, 1)}, "true 0.60 1.00 b confidence 0.00"},
		{TenantPreference, []vote{says("a", 0.9, 1), says("y", 0.2, 1), says("x", 0.7, 1)}, "true 0.70 1.00 x  0.70"},
		{TenantPreference, []vote{says("a", 0.9, 1), says("y", 0.2, 1)}, "false 0.20 1.00 y  0.20"},
		{TenantPreference, []vote{says("a", 0.9, 1), says("b", 0, 0)}, "true 0.90 1.00 a  0.90"},
		{RequiredConsensus, []vote{says("a", 0.9, 1), says("b", 0.6, 0.4, needed), says("c", 0.8, 0.9, needed)}, "true 0.60 0.40 c  0.20"},
		{RequiredConsensus, []vote{says("a", 0.9, 1), says("b", 0, 0, needed)}, "false 0.00 0.00 b  0.00"},
		{RequiredConsensus, []vote{says("a", 0.9, 1), says("b", 0.6, 1, needed), says("c", 0, 0, needed)}, "true 0.90 1.00 a score 0.30"},
		{RequiredConsensus, []vote{says("a", 0.9, 1)}, "true 0.90 1.00 a  0.90"},
		{MostRestrictive, nil, "false 0.00 0.00   0.00"},
	} {
		a := resolve(c.strategy, c.votes, []string{"x", "y"})
		if got := fmt.Sprintf("%v %.2f %.2f %s %s %.2f", a.holds, a.score, a.confidence, a.Winner, a.TieBreaker, a.Delta); got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.strategy, c.votes, got, c.want)
		}
	}
}

func anyVotes() *rapid.Generator[[]vote] {
	one := rapid.Custom(func(t *rapid.T) vote {
		v := vote{
			detector: rapid.SampledFrom(someDetectors).Draw(t, "detector"), required: rapid.Bool().Draw(t, "required"),
			weight: float64(rapid.IntRange(1, 5).Draw(t, "weight")), threshold: shares.Draw(t, "threshold"), score: shares.Draw(t, "score"), confidence: shares.Draw(t, "confidence"),
		}
		v.said = v.score >= v.threshold
		return v
	})
	return rapid.SliceOfNDistinct(one, 0, 5, func(v vote) string { return v.detector })
}

// sorted is how votes come: by name.
func sorted(votes []vote) []vote {
	votes = slices.Clone(votes)
	slices.SortFunc(votes, func(a, b vote) int {
		if a.detector < b.detector {
			return -1
		}
		return 1
	})
	return votes
}

func TestStrategiesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, votes, prefer := rapid.SampledFrom(allStrategies).Draw(t, "strategy"), anyVotes().Draw(t, "votes"), some(someDetectors).Draw(t, "prefer")
		a := resolve(s, sorted(votes), prefer)
		if !share01(a.score) || !share01(a.confidence) || a.Strategy != s {
			t.Fatalf("%+v", a)
		}
		if other := resolve(s, sorted(rapid.Permutation(votes).Draw(t, "order")), prefer); !reflect.DeepEqual(a, other) {
			t.Fatalf("order: %+v, %+v", a, other)
		}
		if a.holds && !slices.ContainsFunc(votes, said) {
			t.Fatalf("nobody said it: %+v", a)
		}
		if all := !slices.ContainsFunc(votes, func(v vote) bool { return !v.said }); all && len(votes) > 0 && !a.holds {
			t.Fatalf("all say it, and it does not hold: %+v", a)
		}
		scaled := sorted(votes)
		factor := rapid.SampledFrom([]float64{0.25, 2, 1000}).Draw(t, "factor")
		for i := range scaled {
			scaled[i].weight *= factor
		}
		if b := resolve(s, scaled, prefer); b.holds != a.holds || math.Abs(a.score-b.score)+math.Abs(a.confidence-b.confidence) > 1e-9 || b.Winner != a.Winner {
			t.Fatalf("weights: %+v, %+v", a, b)
		}
	})
}

// One more vote for a label never makes a majority fall.
func TestMajorityIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		votes := anyVotes().Draw(t, "votes")
		before := resolve(MajorityVote, votes, nil)
		more := resolve(MajorityVote, append(slices.Clone(votes), says("z", 1, 1)), nil)
		for i := range votes {
			turned := slices.Clone(votes)
			turned[i].said, turned[i].score = true, 1
			if after := resolve(MajorityVote, turned, nil); before.holds && !after.holds || after.score < before.score {
				t.Fatalf("%+v, %+v", before, after)
			}
		}
		if before.holds && !more.holds {
			t.Fatalf("%+v, %+v", before, more)
		}
	})
}

// A detector that does not know a label is not asked about it: its silence averages nothing away.
func TestSilence(t *testing.T) {
	p := parse(t, "name: p\ndetectors: {pii: {}, presidio: {}}")
	name := Finding{Native: "PERSON", Score: 0.85, Labels: []string{"PII.Person.Name"}, Confidence: 1}
	for covers, want := range map[string]bool{"PII": true, "PII.Contact": true, "PII.Person": false, "PII.Person.Name": false, "PII.Person.N": true} {
		for _, status := range []api.DetectorStatus{api.StatusOK, api.StatusTimeout} {
			j := p.Judge(Evidence{ContentType: api.ContentText, Mapped: true, Detectors: []DetectorEvidence{
				{Name: "presidio", Status: api.StatusOK, Covers: []string{"PII"}, Findings: []Finding{name}}, {Name: "pii", Status: status, Covers: []string{covers}},
			}})
			if len(j.Labels) != 1 || j.Labels[0].Holds != (want || status != api.StatusOK) {
				t.Errorf("%s %s: %+v", covers, status, j.Labels)
			}
		}
	}
}

// A mean of numbers depends on their order in its last digit; a detector that is there thrice does not change it.
func TestSameDetector(t *testing.T) {
	p, e := parse(t, "name: p\ndetectors: {a: {threshold: 0}}"), Evidence{ContentType: api.ContentText, Mapped: true}
	for _, score := range []float64{0.1, 0.2, 0.3} {
		e.Detectors = append(e.Detectors, answered("a", Finding{Native: "N", Score: score, Labels: []string{"PII.Other"}, Confidence: 1}))
	}
	a := p.Judge(e)
	slices.Reverse(e.Detectors)
	if b := p.Judge(e); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}
