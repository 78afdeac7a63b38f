package mapper

import (
	"strconv"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// fallbacks are the tables that formats fall back to, by vendor.
var fallbacks = map[string]string{"fms": "fms-detectors", "huggingface": "huggingface-transformers", "sarif": "sarif"}

// Recalled is what tables say today of a finding that an event has.
type Recalled struct {
	Name   string   // the detector that overrides are kept for
	Labels []string // nil if no table knows it, or its level is not known
	Table  string   // whose row it is, with its version
}

// Recall looks a finding of an event up again. spell says what a digest stands for, of the names that a table has; it
// gives "" for what is none of them.
func (all Tables) Recall(e *api.Event, f api.EventFinding, spell func(table, digest string) string) Recalled {
	t, fallback := all.recorded(e, f)
	out := Recalled{Name: strings.ToLower(e.Detector)}
	if own, _ := all.recorded(e, api.EventFinding{}); own != nil {
		out.Name = own.Detector
	}
	for _, t := range []*table{t, all[fallback]} {
		if t == nil {
			continue
		}
		native := f.Native
		if strings.HasPrefix(native, "hmac:") {
			native = spell(t.Detector, native)
		}
		if r, ok := t.find(native); ok && native != "" {
			if raw, ok := rawOf(f); ok || r.levels == nil {
				out.Labels, out.Table = r.at(wire.Finding{Raw: raw}), t.id()
			}
			break
		} else if native == "" && f.Table == t.id() { // a row with a * had it, and the table is what it was
			out.Labels, out.Table = f.Labels, t.id()
			break
		}
	}
	return out
}

// recorded finds the table that a finding of an event would be looked up in today, and the one behind it.
func (all Tables) recorded(e *api.Event, f api.EventFinding) (t *table, fallback string) {
	used, _, _ := strings.Cut(e.Versions.Table, "@")
	row, _, _ := strings.Cut(f.Table, "@")
	fallback = fallbacks[e.Vendor]
	if row != "" && row != used && row != fallback {
		return all[row], "" // the format has named it for this finding
	}
	if used != "" && used != fallback && all[used] != nil {
		return all[used], fallback
	}
	return all.of(e.Detector, wire.Output{Fallback: fallback}), fallback
}

// rawOf is the detector's own number, of which events have the part of its scale; "" for none, or a word. It is not ok if
// the scale does not say which number it was.
func rawOf(f api.EventFinding) (raw string, ok bool) {
	most := 1.0
	_, end, severity := strings.Cut(f.Scale, " 0 to ")
	switch {
	case f.Score == nil:
		return "", true
	case severity:
		most, _ = strconv.ParseFloat(end, 64)
	case f.Scale == "percent":
		most = 100
	case strings.Contains(f.Scale, " to "): // a scale of words
		return "", true
	case f.Scale != "probability" && f.Scale != "score of the recogniser":
		return "", false
	}
	return strconv.FormatFloat(*f.Score*most, 'g', 12, 64), true
}

// Names are the native labels that a detector's table has, in lower case; patterns are among them.
func (all Tables) Names(detector string) []string {
	var names []string
	if t := all[detector]; t != nil {
		for name := range t.Maps {
			names = append(names, name)
		}
	}
	return names
}
