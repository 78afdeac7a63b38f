package mapper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/evaluation"
)

// Gate decides whether a version may answer requests.
type Gate struct {
	Margin float64          // by how much its share of right answers may be below the active version's
	Sets   []evaluation.Set // what both are asked
}

// DefaultMargin is what chance makes of some hundred rows.
const DefaultMargin = 0.02

const (
	goldenDrift = 0.02 // of a probability, between the machine that wrote the golden rows and this one
	gateRows    = 600  // that are asked at most
	gateAtOnce  = 8    // few, so that requests are answered meanwhile
	rowPatience = 30 * time.Second
)

// Check asks a loaded version its golden rows and the gate's sets. active is the version that answers now, or
// nil. The error says what was wrong.
func (g Gate) Check(ctx context.Context, c *checkpoint.Checkpoint, fresh, active *Local) error {
	if err := fresh.golden(ctx, c); err != nil {
		return err
	}
	sets := thin(g.Sets)
	if len(sets) == 0 {
		return nil
	}
	report, _, err := evaluation.Run(ctx, fresh.System(), sets, gateAtOnce)
	if err != nil {
		return err
	}
	if active == nil {
		return nil
	}
	was, _, err := evaluation.Run(ctx, active.System(), sets, gateAtOnce)
	if err != nil {
		return fmt.Errorf("the active version: %w", err)
	}
	if now := report.Overall.Top1; now < was.Overall.Top1-g.Margin {
		return fmt.Errorf("it is right on %.1f %% of %d rows, the active %s on %.1f %%; the margin is %.1f points",
			100*now, report.Overall.N, active.Version(), 100*was.Overall.Top1, 100*g.Margin)
	}
	return nil
}

// thin takes evenly from each set, so that there are gateRows at most.
func thin(sets []evaluation.Set) []evaluation.Set {
	n := 0
	for _, s := range sets {
		n += len(s.Rows)
	}
	step := max(1, (n+gateRows-1)/gateRows)
	var out []evaluation.Set
	for _, s := range sets {
		few := evaluation.Set{Name: s.Name}
		for i := 0; i < len(s.Rows); i += step {
			few.Rows = append(few.Rows, s.Rows[i])
		}
		out = append(out, few)
	}
	return out
}

// goldenRow is a finding with the answer that a checkpoint ships for it.
type goldenRow struct {
	Detector string  `json:"detector"`
	Finding  string  `json:"finding"`
	Label    string  `json:"label"`
	P        float64 `json:"p"`
}

// golden asks a checkpoint the rows that it ships with its own answers.
func (l *Local) golden(ctx context.Context, c *checkpoint.Checkpoint) error {
	return l.eachGolden(ctx, c, func(n int, row goldenRow, a Answer) error {
		if a.Label != row.Label || math.Abs(a.Confidence-row.P) > goldenDrift {
			return fmt.Errorf("golden row %d must be %s with %.3f, the model says %s with %.3f", n, row.Label, row.P, a.Label, a.Confidence)
		}
		return nil
	})
}

// Golden returns a checkpoint's golden rows with the answers that l gives.
func (l *Local) Golden(ctx context.Context, c *checkpoint.Checkpoint) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	err := l.eachGolden(ctx, c, func(_ int, row goldenRow, a Answer) error {
		row.Label, row.P = a.Label, a.Confidence
		return e.Encode(row)
	})
	return out.Bytes(), err
}

// eachGolden visits a checkpoint's golden rows with l's answers; without any it does nothing.
func (l *Local) eachGolden(ctx context.Context, c *checkpoint.Checkpoint, visit func(n int, row goldenRow, a Answer) error) error {
	if c.Golden == nil {
		return nil
	}
	f, err := os.Open(c.Path(*c.Golden))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var row goldenRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return fmt.Errorf("golden row %d: %w", n, err)
		}
		a, err := l.patient(ctx, row.Detector, row.Finding)
		if err != nil {
			return fmt.Errorf("golden row %d: %w", n, err)
		}
		if err := visit(n, row, a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// patient is Classify with a deadline for measurements, and a wait in place of a refusal.
func (l *Local) patient(ctx context.Context, detector, finding string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, rowPatience)
	defer cancel()
	for {
		a, err := l.Classify(ctx, detector, finding)
		if !errors.Is(err, ErrOverloaded) {
			return a, err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// System is the checkpoint as evaluations ask it: the model alone, tables and thresholds left out. A finding
// that is too long counts as OTHER.Unknown.
func (l *Local) System() evaluation.System {
	return evaluation.System{
		Name: l.id, Lookups: l.Lookups,
		Ask: func(ctx context.Context, detector, label string) (evaluation.Answer, error) {
			a, err := l.patient(ctx, detector, label)
			if errors.Is(err, ErrTooLong) {
				return evaluation.Answer{Labels: []string{labelUnknown}}, nil
			}
			out := evaluation.Answer{Confidence: a.Confidence}
			for _, c := range a.Candidates {
				out.Labels = append(out.Labels, c.Label)
			}
			return out, err
		},
	}
}
