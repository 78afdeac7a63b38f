package policy

import (
	"cmp"
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
)

// Strategy says what becomes of a label on which detectors do not agree.
//
// A detector votes for a label if it said it with a score that reaches its threshold. It votes against it if it said it
// with a lower score, or said nothing although it is known to see the label: it covers the label itself, or a group of
// labels below a whole category, such as PII.Contact. That it covers PII says only that it looks into PII. Silence of
// such a detector is no vote, or else a name that only presidio can see would be averaged away by pii, which cannot.
type Strategy string

// The strategies.
const (
	WeightedAverage   Strategy = "weighted_average"            // the weighted mean of the scores reaches that of the thresholds
	MajorityVote      Strategy = "majority_vote"               // half of the votes are for it
	HighestConfidence Strategy = "highest_confidence"          // who is surest that the label is right decides
	MostRestrictive   Strategy = "most_restrictive"            // one vote for it is enough
	TenantPreference  Strategy = "tenant_preference"           // the first of the policy's prefer that votes decides; most_restrictive if none does
	RequiredConsensus Strategy = "required_detector_consensus" // required detectors decide if they agree; highest_confidence if not
)

// defaultStrategies are those of content whose strategy a policy does not say.
var defaultStrategies = map[api.ContentType]Strategy{
	api.ContentText: WeightedAverage, api.ContentCode: MajorityVote, api.ContentDocument: MostRestrictive, api.ContentImage: HighestConfidence,
}

// vote is what one detector says about one label.
type vote struct {
	detector                             string
	required, said                       bool
	weight, threshold, score, confidence float64
}

// Resolution says how a label was decided.
type Resolution struct {
	Strategy   Strategy `json:"strategy"`
	Winner     string   `json:"winner"`                // the detector that weighed most in it
	TieBreaker string   `json:"tie_breaker,omitempty"` // confidence, score or name, if others were as good
	Delta      float64  `json:"delta"`                 // the winner's score, less that of the next vote that could have won
}

// answer is whether a label holds and how strongly.
type answer struct {
	holds             bool
	score, confidence float64
	Resolution
}

// strategies have at least one vote for the label, in the order of names.
var strategies = map[Strategy]func(votes []vote, prefer []string) answer{
	WeightedAverage: weightedAverage, MajorityVote: majorityVote, HighestConfidence: highestConfidence,
	MostRestrictive: mostRestrictive, TenantPreference: tenantPreference, RequiredConsensus: requiredConsensus,
}

// resolve decides a label.
func resolve(s Strategy, votes []vote, prefer []string) answer {
	if !slices.ContainsFunc(votes, said) {
		return answer{Resolution: Resolution{Strategy: s}}
	}
	a := strategies[s](votes, prefer)
	a.Strategy, a.score, a.confidence = s, unit(a.score), unit(a.confidence)
	return a
}

func said(v vote) bool { return v.said }

func weightedAverage(votes []vote, _ []string) answer {
	a := mostRestrictive(votes, nil)
	var weight, score, threshold, sure, confidence float64
	for _, v := range votes {
		weight, score, threshold = weight+v.weight, score+v.weight*v.score, threshold+v.weight*v.threshold
		if v.said {
			sure, confidence = sure+v.weight, confidence+v.weight*v.confidence
		}
	}
	a.holds, a.score, a.confidence = score >= threshold-1e-9*weight, score/weight, confidence/sure
	return a
}

func majorityVote(votes []vote, _ []string) answer {
	a, yes := mostRestrictive(votes, nil), 0
	for _, v := range votes {
		if v.said {
			yes++
		}
	}
	a.holds = 2*yes >= len(votes) // of two halves, the one that is sure of something
	return a
}

func highestConfidence(votes []vote, _ []string) answer {
	return decided(votes, byConfidence)
}

func mostRestrictive(votes []vote, _ []string) answer {
	return decided(slices.DeleteFunc(slices.Clone(votes), func(v vote) bool { return !v.said }), byScore)
}

func tenantPreference(votes []vote, prefer []string) answer {
	for _, name := range prefer {
		own := slices.DeleteFunc(slices.Clone(votes), func(v vote) bool { return v.detector != name })
		if len(own) > 0 {
			return decided(own, byScore)
		}
	}
	return mostRestrictive(votes, nil)
}

func requiredConsensus(votes []vote, _ []string) answer {
	required := slices.DeleteFunc(slices.Clone(votes), func(v vote) bool { return !v.required })
	if len(required) == 0 || slices.ContainsFunc(required, func(v vote) bool { return v.said != required[0].said }) {
		return highestConfidence(votes, nil)
	}
	a := decided(required, byScore)
	for _, v := range required {
		a.score, a.confidence = min(a.score, v.score), min(a.confidence, v.confidence)
	}
	return a
}

// key is one thing that votes are compared by.
type key struct {
	name string
	of   func(vote) float64
}

var (
	byScore      = []key{{"score", func(v vote) float64 { return v.score }}, {"confidence", func(v vote) float64 { return v.confidence }}}
	byConfidence = []key{byScore[1], byScore[0]}
)

// decided takes the best vote by keys, then by name.
func decided(votes []vote, keys []key) answer {
	votes = slices.Clone(votes)
	slices.SortFunc(votes, func(a, b vote) int {
		return cmp.Or(cmp.Compare(keys[0].of(b), keys[0].of(a)), cmp.Compare(keys[1].of(b), keys[1].of(a)), a.compare(b))
	})
	w := votes[0]
	a := answer{holds: w.said, score: w.score, confidence: w.confidence, Resolution: Resolution{Winner: w.detector, Delta: w.score}}
	if len(votes) == 1 {
		return a
	}
	next := votes[1]
	a.Delta = w.score - next.score
	if keys[0].of(w) == keys[0].of(next) {
		if a.TieBreaker = keys[1].name; keys[1].of(w) == keys[1].of(next) {
			a.TieBreaker = "name"
		}
	}
	return a
}

// compare orders votes: by name, and those of one detector by what they say.
func (v vote) compare(o vote) int {
	return cmp.Or(cmp.Compare(v.detector, o.detector), cmp.Compare(o.score, v.score), cmp.Compare(o.confidence, v.confidence), cmp.Compare(v.threshold, o.threshold))
}

// unit keeps a number in 0 to 1; what is none is 1, so that it cannot hide anything.
func unit(v float64) float64 {
	if !(v < 1) {
		return 1
	}
	return max(v, 0)
}
