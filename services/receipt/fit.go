package receipt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// filled is the bytes that Entries may add to a receipt.
const filled = 512

// Fit puts evidence into a receipt that has all else: as much of it as a receipt has room for. What does not fit are the
// weakest findings; each detector's evidence says how many of its own were left out.
func Fit(r *api.Receipt, e policy.Evidence) (err error) {
	if r.Evidence, err = json.Marshal(e); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if len(r.Evidence)+len(r.Judgment) <= maxReceipt/2 {
		return nil // what else there is has its limits
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	if over := len(raw) + filled - maxReceipt; over > 0 {
		r.Evidence, err = strongest(e, len(r.Evidence)-over)
	}
	return err
}

// ranked is a finding's place in evidence, and in the order in which findings are kept.
type ranked struct {
	policy.Finding
	detector, number int
	vote             bool // it is the strongest of its detector and labels
}

// strongest writes evidence in so many bytes. The strongest finding of each detector and labels comes first: mostly
// it is the detector's vote, so that what is left is judged as all was.
func strongest(e policy.Evidence, room int) ([]byte, error) {
	var all []ranked
	e.Detectors = slices.Clone(e.Detectors)
	for i := range e.Detectors {
		d := &e.Detectors[i]
		for k, f := range d.Findings {
			all = append(all, ranked{Finding: f, detector: i, number: k})
		}
		d.LeftOut, d.Findings = len(d.Findings), nil
	}
	bare, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	room -= len(bare) + len(e.Detectors)*len(`,"findings":[]`)
	order(all)
	kept := 0
	for ; kept < len(all); kept++ {
		raw, err := json.Marshal(all[kept].Finding)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		if room -= len(raw) + 1; room < 0 {
			break
		}
	}
	all = all[:kept]
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(a.number, b.number) })
	for _, f := range all {
		d := &e.Detectors[f.detector]
		d.Findings, d.LeftOut = append(d.Findings, f.Finding), d.LeftOut-1
	}
	return json.Marshal(e)
}

// order puts findings to be kept in front: the votes, and then the others, each by strength.
func order(all []ranked) {
	slices.SortStableFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Confidence, a.Confidence))
	})
	seen := map[string]bool{}
	for i := range all {
		of := fmt.Sprint(all[i].detector, " ", strings.Join(all[i].Labels, " "))
		all[i].vote = !seen[of]
		seen[of] = true
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		switch {
		case a.vote == b.vote:
			return 0
		case a.vote:
			return -1
		}
		return 1
	})
}
