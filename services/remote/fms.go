package remote

import (
	"encoding/json"
	"maps"
	"net/url"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// fms is a detector by the FMS detector API: TrustyAI's and IBM's, and our own built-in ones.
type fms struct{ Params }

func newFMS(s *Spec) (protocol, []error) { return fms{s.Params}, nil }

func (fms) query() url.Values { return nil }

func (p fms) body(in detect.Input) any {
	params := maps.Clone(p.DetectorParams)
	if params == nil {
		params = map[string]any{}
	}
	if p.Threshold > 0 {
		params["threshold"] = p.Threshold
	}
	return map[string]any{"contents": []string{in.Content}, "detector_params": params}
}

// read takes one list of detections, for the one text that was sent. They quote the content, which the parser drops.
func (fms) read(_ detect.Input, answer string) (wire.Output, error) {
	var texts []json.RawMessage
	if err := json.Unmarshal([]byte(answer), &texts); err != nil || len(texts) != 1 {
		return wire.Output{}, wire.ErrShape
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(texts[0], &rows); err != nil || rows == nil {
		return wire.Output{}, wire.ErrShape
	}
	if len(rows) == 0 { // which every format has for nothing
		return wire.Output{Vendor: "fms", Fallback: "fms-detectors"}, nil
	}
	return of("fms", string(texts[0]), "fms")
}
