package mapper

import (
	"slices"
	"strconv"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/wire"
	"github.com/llama-mapper/llama-mapper/services/wire/wiretest"
)

// What formats fall back to is known without their outputs, and so are the detectors' own numbers.
func TestRecallKnows(t *testing.T) {
	seen, levels := map[string]bool{}, 0
	for _, e := range wiretest.Cases(t) {
		out, err := wire.Parse(e.Detector, e.Output)
		if err != nil {
			t.Fatal(err)
		}
		if out.Fallback != fallbacks[out.Vendor] && out.Vendor != "text" {
			t.Errorf("%s falls back to %q", out.Vendor, out.Fallback)
		}
		seen[out.Fallback] = true
		for _, f := range out.Findings {
			raw, ok := rawOf(api.EventFinding{Score: f.Score, Scale: f.Scale})
			if _, err := strconv.ParseFloat(f.Raw, 64); err != nil {
				if raw != "" {
					t.Errorf("%s, %s: %s, not a word", f.Native, f.Scale, raw)
				}
			} else if levels++; ok && raw != f.Raw {
				t.Errorf("%s, %s: %s, not %s", f.Native, f.Scale, raw, f.Raw)
			}
		}
	}
	if len(seen) != 1+len(fallbacks) || levels < 50 {
		t.Error(seen, levels)
	}
}

// Names has what a table has, for digests.
func TestNames(t *testing.T) {
	_, tables := shippedTables(t)
	if names := tables.Names("urls"); len(names) != 2 || !slices.Contains(names, "malicious_url") || tables.Names("nobody") != nil {
		t.Error(names)
	}
}
