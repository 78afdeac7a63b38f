// Package spans puts in order what the rules of a detector say about one content.
package spans

import (
	"slices"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Resolve orders hits by their start and keeps the best of those that overlap: the surer one, and of equally sure ones
// the longer. It works in place.
func Resolve(hits []detect.Hit) []detect.Hit {
	slices.SortStableFunc(hits, func(a, b detect.Hit) int { return a.Start - b.Start })
	kept := hits[:0]
	for _, h := range hits {
		for len(kept) > 0 && kept[len(kept)-1].End > h.Start && better(h, kept[len(kept)-1]) {
			kept = kept[:len(kept)-1]
		}
		if len(kept) == 0 || kept[len(kept)-1].End <= h.Start {
			kept = append(kept, h)
		}
	}
	return kept
}

func better(a, b detect.Hit) bool {
	if a.Score != b.Score {
		return a.Score > b.Score
	}
	return a.End-a.Start > b.End-b.Start
}
