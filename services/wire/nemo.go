package wire

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The labels we give to what NeMo Guardrails says of itself.
const (
	nemoBlocked = "blocked"    // it blocked and no rail says that it was the one
	nemoError   = "rail error" // a rail did not do its work
)

func isNemoRails(d document) bool {
	if d.object("log") {
		var log struct {
			Rails *json.RawMessage `json:"activated_rails"`
		}
		return json.Unmarshal(d.members["log"], &log) == nil && log.Rails != nil
	}
	return d.object("status", "rails_status") || d.object("status", "guardrails_data")
}

// parseNemoRails reads the answer of NeMo Guardrails' checks, or the log that the library answers with: the rails
// that blocked are the labels.
func parseNemoRails(_, output string) (Output, error) {
	type rail struct {
		Name string
		Stop bool
	}
	var doc struct {
		Status string
		Rails  map[string]struct{ Status string } `json:"rails_status"`
		Log    *struct {
			Rails []rail `json:"activated_rails"`
		}
	}
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "nemo", Table: "nvidia-nemo-guardrails"}
	known := doc.Log != nil || doc.Status == "success" || doc.Status == nemoBlocked
	for _, name := range slices.Sorted(maps.Keys(doc.Rails)) {
		switch doc.Rails[name].Status {
		case "success":
		case nemoBlocked:
			out.add(yes(railName(name)))
		default:
			out.add(yes(nemoError))
		}
	}
	if doc.Log != nil {
		for _, r := range doc.Log.Rails {
			if r.Stop {
				out.add(yes(railName(r.Name)))
			}
		}
	}
	switch {
	case doc.Status == "error":
		out.add(yes(nemoError))
	case !known:
		return Output{}, ErrShape
	case doc.Status == nemoBlocked && len(out.Findings) == 0:
		out.add(yes(nemoBlocked))
	}
	return out, named(out.Findings)
}

// railName is a rail's name without its parameters: content safety check input $model=content_safety.
func railName(name string) string {
	name, _, _ = strings.Cut(name, "$")
	return strings.TrimSpace(name)
}
