package mapper

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/lint"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// The tables that ship have no problem, and answer every label of the vendors' lists.
func TestLintShipped(t *testing.T) {
	taxonomy, _ := shippedTables(t)
	for _, p := range append(LintTables(config.Detectors(), taxonomy), LintVendors(config.Detectors(), os.DirFS("../wire/testdata/vendors"), taxonomy)...) {
		t.Errorf("%s:%d: %s: %s", p.File, p.Line, p.Rule, p.Text)
	}
}

func TestLintFinds(t *testing.T) {
	taxonomy, _ := shippedTables(t)
	f := func(doc string, want ...string) {
		t.Helper()
		var got []string
		problems := LintTables(fstest.MapFS{"d.yaml": {Data: []byte(doc)}, "e.yaml": {Data: []byte("detector: e\nversion: '1'\ntaxonomy: '2026.11'\naliases: [taken]\n")}}, taxonomy)
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%s:%d %s", p.File, p.Line, p.Rule))
			if lintRules[p.Rule] == "" || p.Text == "" {
				t.Errorf("%+v", p)
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%q: got %v, want %v", doc, got, want)
		}
	}
	const head = "detector: d\nversion: '1'\ntaxonomy: '2026.11'\n"
	f(head)
	f(head+"maps:\n  a: [OTHER.Safe]\n  b: [OTHER.Nothing, OTHER.Safe, OTHER.Safe]\n", "d.yaml:6 unknown-label", "d.yaml:6 duplicate")
	f(head+"maps:\n  a: [OTHER.Safe]\n  A: [OTHER.Unknown]\n", "d.yaml:6 duplicate")
	f(head+"maps:\n  a: []\n  b: {2: []}\n  c: {}\n", "d.yaml:5 no-label", "d.yaml:6 no-label", "d.yaml:7 no-label")
	f(head+"aliases: [taken, Upper]\n", "d.yaml:4 alias", "e.yaml:4 alias")
	f(head+"maps:\n  'what <is> this': [OTHER.Safe]\n  '*_a_*': [OTHER.Safe]\n", "d.yaml:5 unreachable", "d.yaml:6 unreachable")
	f(head+"maps:\n  US_*: [PII.Other]\n  US_BANK_*: [PII.Other]\n  US_TAX_*: [PII.Identifier.TaxID]\n", "d.yaml:6 shadowed")
	f("detector: x\ntaxonomy: '2025.09'\n", "d.yaml:1 file-name", "d.yaml:1 missing-version", "d.yaml:2 taxonomy")
	f(head+"surprise: 1\n", "d.yaml:1 syntax")
	f("- a\n", "d.yaml:1 syntax")

	codes := fstest.MapFS{"llama-guard-2.yaml": {Data: []byte("detector: llama-guard-2\nversion: '1'\ntaxonomy: '2026.11'\nmaps:\n  S11: [OTHER.Safe]\n  S12: [OTHER.Safe]\n  O1: [OTHER.Safe]\n")}}
	if got := LintTables(codes, taxonomy); len(got) != 2 || got[0].Rule != "unreachable" || got[0].Line != 6 {
		t.Errorf("%+v", got)
	}
	tables := fstest.MapFS{"d.yaml": {Data: []byte(head + "maps:\n  a: [OTHER.Safe]\n")}}
	lists := fstest.MapFS{"d.txt": {Data: []byte("# list\na\nb\n")}, "none.txt": {Data: []byte("a\n")}}
	if got := LintVendors(tables, lists, taxonomy); len(got) != 2 || got[0].File != "d.yaml" || !strings.Contains(got[0].Text, "b, line 3") || got[1].File != "none.txt" {
		t.Errorf("%+v", got)
	}
	if got := LintTables(fstest.MapFS{}, taxonomy); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// What the linter writes is SARIF that our own parser reads.
func TestLintSARIF(t *testing.T) {
	raw, err := SARIF([]lint.Problem{{File: "d.yaml", Line: 3, Rule: "unknown-label", Text: "quoted"}, {File: "d.yaml", Line: 4, Rule: "duplicate", Text: "quoted"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := wire.Parse("x", string(raw))
	if err != nil || len(out.Findings) != 2 || out.Vendor != "sarif" || out.Findings[0].Native != "unknown-label" {
		t.Errorf("%+v, %v", out, err)
	}
	if raw, err = SARIF(nil); err != nil || !bytes.Contains(raw, []byte(`"results": []`)) {
		t.Errorf("%s, %v", raw, err)
	}
}
