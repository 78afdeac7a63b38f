package framework

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/llama-mapper/llama-mapper/config"
)

var labels = []string{"P.A", "P.B", "P.C.D", "Q.A"}

const good = `id: F
name: a framework
edition: "1"
published: 2024-05
revised: 2026-01-02
source: https://example.org/
applies_from: 2024-06-01
controls:
  - id: C1
    title: first
    replaces: [X1]
    edges:
      - {labels: [P.*], relation: detects, why: all of P}
      - {labels: [P.A], relation: violates, why: P.A in particular}
  - id: C2
    title: second
    applies_from: 2025-01-01
    edges:
      - {labels: [P.B], relation: evidences, why: at first, to: 2025-12-31}
      - {labels: [P.B], relation: detects, why: then, from: 2026-01-01}
none:
  - {labels: [P.*, Q.*], why: not for us}
  - {labels: [Q.A], why: surely not for us}
`

func files(pack string) fs.FS { return fstest.MapFS{"f.yaml": {Data: []byte(pack)}} }

func TestPack(t *testing.T) {
	s, err := Parse(files(good), labels)
	if err != nil {
		t.Fatal(err)
	}
	f := func(label, on string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range s.Controls(label, day(on)) {
			got = append(got, e.Control+" "+string(e.Relation)+" "+e.From+" "+e.To)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s on %s: %q, want %q", label, on, got, want)
		}
	}
	f("P.A", "2024-05-31")
	f("P.A", "2024-06-01", "C1 violates 2024-06-01 ") // the exact one wins
	f("P.C.D", "2024-06-01", "C1 detects 2024-06-01 ")
	f("P.B", "2025-12-31", "C1 detects 2024-06-01 ", "C2 evidences 2025-01-01 2025-12-31")
	f("P.B", "2026-01-01", "C1 detects 2024-06-01 ", "C2 detects 2026-01-01 ")
	f("Q.A", "2026-01-01")
	if r := s.Unmapped("Q.A"); len(r) != 1 || r[0] != (Reason{"F", "surely not for us"}) {
		t.Errorf("%v", r)
	}
	if r := s.Unmapped("P.A"); r != nil {
		t.Errorf("a reason for what has edges: %v", r)
	}
	c := s.Frameworks()[0].Controls
	if len(c) != 2 || c[0].AppliesFrom != "2024-06-01" || c[1].AppliesFrom != "2025-01-01" || c[0].Replaces[0] != "X1" {
		t.Errorf("%+v", c)
	}
}

// Each mistake is found in a pack that is good otherwise.
func TestMistakes(t *testing.T) {
	f := func(old, new, want string) {
		t.Helper()
		pack := strings.Replace(good, old, new, 1)
		if pack == good {
			t.Fatalf("%q is not in the pack", old)
		}
		if _, err := Parse(files(pack), labels); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: %v, want %s", new, old, err, want)
		}
	}
	f("name:", "surprise: 1\nname:", "surprise")
	f("none:", "---\nnone:", "second document")
	f("id: F", "id: f", "must be in capitals")
	f("id: F", "id: G", "the file must be named after it")
	f("name: a framework", "name: ''", "name: it is empty")
	f("name: a framework", "name: ' a'", "spaces around it")
	f(`edition: "1"`, `edition: "`+strings.Repeat("1", 81)+`"`, "has 81 characters, at most 80")
	f("published: 2024-05", "published: 2024-", "published:")
	f("published: 2024-05", "published: 2024-13", "published:")
	f("revised: 2026-01-02\n", "", "revised: it is missing")
	f("revised: 2026-01-02", "revised: 2026-02-30", "is not a day")
	f("https:", "http:", "https address")
	f("applies_from: 2024-06-01", "applies_from: June", "is not a day")
	f("title: first", "title: "+strings.Repeat("x", 81), "C1: title: it has 81 characters")
	f("title: first", `title: "a\nb"`, "line break")
	f("id: C1", "id: ''", "it is empty")
	f("id: C2", "id: C1", "C1: it is there twice")
	f("replaces: [X1]", "replaces: [X1, X1]", "X1 is there twice")
	f("applies_from: 2025-01-01", "applies_from: 2025-1-1", "is not a day")
	f("relation: violates", "relation: breaks", `"breaks" is not violates, detects or evidences`)
	f("why: all of P", "why: ''", "C1: edge 1: why: it is empty")
	f("why: all of P", "why: "+strings.Repeat("x", 201), "has 201 characters, at most 200")
	f("[P.A], relation", "[P.Z], relation", "P.Z matches no label")
	f("[P.A], relation", "[], relation", "it has no labels")
	f("[P.*], relation", "[P*], relation", "P* matches no label")
	f("[P.*], relation", "['*'], relation", "* matches no label")
	f("[P.*], relation", "[P.*, P.C.*], relation", "P.C.* covers P.C.D a second time")
	f("[P.A], relation", "[P.A, P.A], relation", "P.A covers P.A a second time")
	f("[P.A], relation", "[P.*], relation", "two edges lead from P.A at once")
	f("from: 2026-01-01}", "from: 2025-12-31}", "C2: two edges lead from P.B at once")
	f("from: 2026-01-01}", "to: 2024-12-31}", "is before 2025-01-01")
	f("from: 2026-01-01}", "from: tomorrow}", "is not a day")
	f("[P.A], relation", "[P.A, P.B, P.C.D], relation", "C1: edge 1: no label is left for it")
	f("    edges:\n      - {labels: [P.B]", "  - id: C3\n    title: third\n    edges:\n      - {labels: [P.B]", "C2: no label leads to it")
	f("[P.*, Q.*], why", "[P.A], why", "P.A has an edge; remove the one or the other")
	f("[P.*, Q.*], why", "[P.*], why", "all its labels have edges")
	f("[P.*, Q.*], why", "[Q.A], why", "Q.A has a reason already")
	f("[Q.A], why", "[Q.Z], why", "Q.Z matches no label")
	f("why: surely not for us", "why: ''", "none: entry 2: why: it is empty")
	f("  - {labels: [P.*, Q.*], why: not for us}\n  - {labels: [Q.A], why: surely not for us}\n", "", "Q.A has neither an edge nor a reason")
	f(good, "id: F", "controls: there is none")
	f(good, "", "EOF")
	f(good, "[1, 2]", "cannot unmarshal")
}

func TestNoPack(t *testing.T) {
	if _, err := Parse(fstest.MapFS{}, labels); err == nil || !strings.Contains(err.Error(), "there is no pack") {
		t.Errorf("no pack: %v", err)
	}
	if _, err := Parse(fstest.MapFS{"f.yaml/x": {}}, labels); err == nil {
		t.Error("a directory was read as a pack")
	}
}

// All mistakes of all packs are reported at once, and always in the same words.
func TestAllAtOnce(t *testing.T) {
	bad := strings.NewReplacer("P.A]", "P.Z]", "Q.A]", "Q.Z]", "evidences", "hints", "https:", "ftp:").Replace(good)
	dir := fstest.MapFS{"f.yaml": {Data: []byte(bad)}, "g.yaml": {Data: []byte(bad)}}
	_, err := Parse(dir, labels)
	for _, want := range []string{"f.yaml: C1: edge 2: P.Z", "f.yaml: none: entry 2: Q.Z", "hints", "ftp:", "g.yaml: id:", "g.yaml: C1: edge 2: P.Z"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
	for range 20 {
		if _, again := Parse(dir, labels); again == nil || again.Error() != err.Error() {
			t.Fatalf("first %v\nthen %v", err, again)
		}
	}
}

// Whatever is parsed covers every label, and keeps to the limits.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.ReplaceAll(good, "P.", "Q.")))
	packs, err := fs.Glob(config.Frameworks(), "*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range packs[:2] {
		raw, err := fs.ReadFile(config.Frameworks(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(files(string(raw)), labels)
		if err != nil {
			return
		}
		for _, label := range labels {
			edges := s.edges[label]
			if len(edges) == 0 == (len(s.Unmapped(label)) == 0) {
				t.Errorf("%s has edges and a reason, or neither", label)
			}
			for _, e := range edges {
				if len([]rune(e.Title)) > maxTitle || e.Title == "" || e.Rationale == "" || e.To != "" && e.To < e.From {
					t.Errorf("%+v", e)
				}
			}
		}
	})
}
