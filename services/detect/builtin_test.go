package detect_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// said is a detector that always says the same.
type said []detect.Hit

func (said) Name() string                                                 { return "said" }
func (said) Version() string                                              { return "1" }
func (said) Labels() []string                                             { return []string{"A", "B"} }
func (s said) Detect(ctx context.Context, _ string) ([]detect.Hit, error) { return s, ctx.Err() }

// Hits of a label are one finding with all their places; none at all is clean, and no failure.
func TestBuiltin(t *testing.T) {
	at := func(a, b int) wire.Span { return wire.Span{Byte: &[2]int{a, b}, Rune: &[2]int{a, b}} }
	score := func(v float64) *float64 { return &v }
	s := detect.Builtin(said{{Label: "A", Score: .4, Start: 0, End: 2, RuneStart: 0, RuneEnd: 2}, {Label: "B", Score: 1, Start: 1, End: 3, RuneStart: 1, RuneEnd: 3}, {Label: "A", Score: .9, Start: 5, End: 6, RuneStart: 5, RuneEnd: 6}}, "PII")
	out, err := s.Ask(context.Background(), detect.Input{Content: "abcdefgh"})
	want := wire.Output{Vendor: "own", Findings: []wire.Finding{
		{Native: "A", Score: score(.9), Scale: "probability", Spans: []wire.Span{at(0, 2), at(5, 6)}},
		{Native: "B", Score: score(1), Scale: "probability", Spans: []wire.Span{at(1, 3)}},
	}}
	if err != nil || !reflect.DeepEqual(out, want) {
		t.Errorf("%+v %v", out, err)
	}
	out, err = detect.Builtin(said{}).Ask(context.Background(), detect.Input{Content: "x"})
	if err != nil || len(out.Findings) != 1 || !out.Findings[0].Clean {
		t.Errorf("%+v %v", out, err)
	}
	if s.Takes(api.ContentImage) || !s.Takes(api.ContentCode) || s.Covers()[0] != "PII" || s.Window() != 0 {
		t.Error("what it takes and covers")
	}
	gone, stop := context.WithCancel(context.Background())
	stop()
	if _, err := s.Ask(gone, detect.Input{}); err == nil {
		t.Error("it goes on after its caller has")
	}
}
