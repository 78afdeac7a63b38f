package detect

import (
	"context"
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Builtin makes a Source of a built-in detector, which covers categories of the taxonomy.
func Builtin(d Detector, covers ...string) Source { return builtin{d, covers} }

type builtin struct {
	Detector
	covers []string
}

func (b builtin) Covers() []string { return b.covers }
func (b builtin) Window() int      { return 0 }

// Takes implements Source: they read text, of whatever kind.
func (b builtin) Takes(t api.ContentType) bool { return t != api.ContentImage }

// Ask implements Source. Hits of a label are one finding, with the strongest's score and all their places.
func (b builtin) Ask(ctx context.Context, in Input) (wire.Output, error) {
	hits, err := b.Detect(ctx, in.Content)
	if err != nil {
		return wire.Output{}, err
	}
	out := wire.Output{Vendor: "own"}
	for _, h := range hits {
		at := wire.Span{Byte: &[2]int{h.Start, h.End}, Rune: &[2]int{h.RuneStart, h.RuneEnd}, Why: h.Rule}
		i := slices.IndexFunc(out.Findings, func(f wire.Finding) bool { return f.Native == h.Label })
		if i < 0 {
			score := h.Score
			out.Findings = append(out.Findings, wire.Finding{Native: h.Label, Score: &score, Scale: "probability", Spans: []wire.Span{at}})
			continue
		}
		f := &out.Findings[i]
		f.Spans = append(f.Spans, at)
		if h.Score > *f.Score {
			*f.Score = h.Score
		}
	}
	if len(out.Findings) == 0 {
		out.Findings = []wire.Finding{{Native: "clean", Clean: true}}
	}
	return out, nil
}
