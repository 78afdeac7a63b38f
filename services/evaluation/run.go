package evaluation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"
)

// System is what is measured. Ask answers a native label; Lookups are other systems' labels for it, by name.
type System struct {
	Name    string
	Ask     func(ctx context.Context, detector, label string) (Answer, error)
	Lookups func(label string) map[string]string // nil if there are none
}

// Latency is of single requests without company, in milliseconds.
type Latency struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
}

// Agreement compares a second form of the model, such as a quantised one, with the first.
type Agreement struct {
	Name    string  `json:"name"`
	Same    float64 `json:"same"`     // share of the rows with the same first label
	Top1    float64 `json:"top1"`     // of the second form
	Top1Was float64 `json:"top1_was"` // of the first
}

// Report is everything about one model.
type Report struct {
	Model      string      `json:"model"`
	Sets       []Figures   `json:"sets"`
	Overall    Figures     `json:"overall"`
	Latency    Latency     `json:"latency"`
	Agreements []Agreement `json:"agreements"`
}

// lone is how many rows are timed one after the other.
const lone = 200

// Run asks the system about every row of the sets, parallel at once, and then about some rows alone for the
// latency.
func Run(ctx context.Context, s System, sets []Set, parallel int) (*Report, [][]Answer, error) {
	out := &Report{Model: s.Name}
	var all Set
	var every []Answer
	theirs := map[string][]string{}
	answers := make([][]Answer, len(sets))
	for i, set := range sets {
		got, err := ask(ctx, s, set.Rows, parallel)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", set.Name, err)
		}
		lookups := lookup(s, set.Rows)
		out.Sets = append(out.Sets, Score(set.Name, set.Rows, got, lookups))
		answers[i] = got
		all.Rows = append(all.Rows, set.Rows...)
		every = append(every, got...)
		for name, labels := range lookups {
			theirs[name] = append(theirs[name], labels...)
		}
	}
	out.Overall = Score("overall", all.Rows, every, theirs)
	var times []float64
	for i := range min(lone, len(all.Rows)) {
		row := all.Rows[i*len(all.Rows)/min(lone, len(all.Rows))]
		start := time.Now()
		if _, err := s.Ask(ctx, row.Detector, row.Label); err != nil {
			return nil, nil, err
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
	}
	slices.Sort(times)
	out.Latency = Latency{N: len(times), P50: times[len(times)/2], P95: times[len(times)*95/100]}
	return out, answers, nil
}

// Compare asks a second form of the model the same and adds how far it agrees.
func (r *Report) Compare(ctx context.Context, s System, sets []Set, answers [][]Answer, parallel int) error {
	same, hit, n := 0, 0, 0
	for i, set := range sets {
		got, err := ask(ctx, s, set.Rows, parallel)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.Name, set.Name, err)
		}
		for k, row := range set.Rows {
			n++
			if first(got[k]) == first(answers[i][k]) {
				same++
			}
			if right(row, got[k].Labels, 1) {
				hit++
			}
		}
	}
	r.Agreements = append(r.Agreements, Agreement{s.Name, float64(same) / float64(n), float64(hit) / float64(n), r.Overall.Top1})
	return nil
}

func ask(ctx context.Context, s System, rows []Row, parallel int) ([]Answer, error) {
	out := make([]Answer, len(rows))
	group := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(max(1, parallel))
	for i, row := range rows {
		group.Go(func(ctx context.Context) (err error) {
			out[i], err = s.Ask(ctx, row.Detector, row.Label)
			return err
		})
	}
	return out, group.Wait()
}

func lookup(s System, rows []Row) map[string][]string {
	out := map[string][]string{}
	if s.Lookups == nil {
		return out
	}
	for i, row := range rows {
		for name, label := range s.Lookups(row.Label) {
			if out[name] == nil {
				out[name] = make([]string, len(rows))
			}
			out[name][i] = label
		}
	}
	return out
}
