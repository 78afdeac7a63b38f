package orchestration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
)

// finder finds a word.
type finder struct {
	name, word string
	err        error
}

func (f finder) Name() string     { return f.name }
func (f finder) Version() string  { return "1" }
func (f finder) Labels() []string { return []string{strings.ToUpper(f.word)} }
func (f finder) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	if err := errors.Join(ctx.Err(), f.err); err != nil {
		return nil, err
	}
	var hits []detect.Hit
	if i := strings.Index(content, f.word); i >= 0 {
		hits = append(hits, detect.Hit{Label: strings.ToUpper(f.word), Score: 0.7, Start: i, End: i + len(f.word), Rule: "word"})
		detect.Runes(content, hits)
	}
	return hits, nil
}

// Each text has a list of its own, in order, with places in code points.
func TestContents(t *testing.T) {
	s := Contents{finder{name: "one", word: "bad"}, finder{name: "two", word: "worse"}}
	ask := func(names string, threshold float64, contents ...string) string {
		t.Helper()
		chosen, err := s.Chosen(names)
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.Detect(context.Background(), chosen, api.ContentsRequest{Contents: contents, Params: api.DetectorParams{Threshold: threshold}})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, list := range found {
			text := "-"
			for _, d := range list {
				text += fmt.Sprintf(" %s/%s %d-%d %s", d.DetectionType, d.Detection, d.Start, d.End, d.Text)
			}
			out = append(out, text)
		}
		return strings.Join(out, "|")
	}
	if got := ask("", 0, "züé bad, worse", "fine", "worse"); got != "- one/BAD 4-7 bad two/WORSE 9-14 worse|-|- two/WORSE 0-5 worse" {
		t.Error(got)
	}
	if got := ask("two", 0, "bad worse") + ask("one,two", 0.71, "bad worse"); got != "- two/WORSE 4-9 worse-" {
		t.Error(got)
	}
}

// What cannot be asked, and a detector that fails, are errors and never a clean answer.
func TestContentsRefusals(t *testing.T) {
	s := Contents{finder{name: "one", word: "bad"}, finder{name: "broken", err: errors.New("bug")}}
	for names, want := range map[string]api.Code{"three": api.NotFound, "one,one": api.NotFound, "one,": api.NotFound, strings.Repeat("one,", 16) + "one": api.InvalidRequest} {
		if _, err := s.Chosen(names); api.AsError(err).Code != want {
			t.Errorf("%s: %v, want %s", names, err, want)
		}
	}
	all, err := s.Chosen("")
	if err != nil {
		t.Fatal(err)
	}
	if found, err := s.Detect(context.Background(), all, api.ContentsRequest{Contents: []string{"x"}}); api.AsError(err).Code != api.Internal {
		t.Errorf("%v %v", found, err)
	}
	gone, stop := context.WithCancel(context.Background())
	stop()
	if _, err := s.Detect(gone, all[:1], api.ContentsRequest{Contents: []string{"x"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, bad := range []string{``, `{}`, `{"contents":[],"detector_params":{}}`, `{"contents":["a"],"detector_params":{"threshold":2}}`, `{"contents":["a"],"color":1}`, `{"contents":[` + strings.Repeat(`"",`, 100) + `""]}`} {
		if _, err := api.ParseContents([]byte(bad)); api.AsError(err).Code != api.InvalidRequest {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
