package wire

import (
	"reflect"
	"strings"
	"testing"
)

// What one service has read the next reads the same, but for places and the note.
func TestEnvelope(t *testing.T) {
	for _, e := range corpus(t) {
		out, err := Parse(e.Detector, e.text(t))
		if err != nil || out.Vendor == "text" {
			continue
		}
		raw, err := Encode(out)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("any", string(raw))
		out.Note = ""
		for i := range out.Findings {
			out.Findings[i].Spans = nil
		}
		if err != nil || !reflect.DeepEqual(out, again) {
			t.Errorf("%s: %v\n%+v\n%+v", e.path, err, out, again)
		}
	}
}

func TestEnvelopeRefusals(t *testing.T) {
	for doc, want := range map[string]error{
		`{"format":"llama-mapper/2","vendor":"own","findings":[]}`:                                                                                      ErrShape,
		`{"format":"llama-mapper/1","vendor":"nobody","findings":[]}`:                                                                                   ErrShape,
		`{"format":"llama-mapper/1","vendor":"own","findings":[{"native":"a","score":2}]}`:                                                              ErrScale,
		`{"format":"llama-mapper/1","vendor":"own","findings":[{"native":"a","scale":"Jane: hi"}]}`:                                                     ErrScale,
		`{"format":"llama-mapper/1","vendor":"own","findings":[{"native":"call me, it's urgent"}]}`:                                                     ErrName,
		`{"format":"llama-mapper/1","vendor":"own","findings":[{"native":"a","words":"what's that?"}]}`:                                                 ErrName,
		`{"format":"llama-mapper/1","vendor":"own","findings":[` + strings.TrimSuffix(strings.Repeat(`{"native":"a"},{"native":"b"},`, 40), ",") + `]}`: nil,
	} {
		if _, err := Parse("any", doc); err != want { //nolint:errorlint // they are returned as they are
			t.Errorf("%s: %v, want %v", doc, err, want)
		}
	}
}
