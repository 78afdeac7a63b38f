package remote

import (
	"cmp"
	"net/url"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// presidio is Presidio's analyzer.
type presidio struct{ Params }

func newPresidio(s *Spec) (protocol, []error) { return presidio{s.Params}, nil }

func (presidio) query() url.Values { return nil }

func (p presidio) body(in detect.Input) any {
	body := map[string]any{"text": in.Content, "language": cmp.Or(p.Language, "en")}
	if p.Threshold > 0 {
		body["score_threshold"] = p.Threshold
	}
	if len(p.Entities) > 0 {
		body["entities"] = p.Entities
	}
	return body
}

func (presidio) read(_ detect.Input, answer string) (wire.Output, error) {
	if answer[0] != '[' { // what the anonymizer answers has positions in another text
		return wire.Output{}, wire.ErrShape
	}
	return of("presidio", answer, "presidio")
}
