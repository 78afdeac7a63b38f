// Package wiretest reads the corpus of services/wire/testdata for tests.
package wiretest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Case is what a detector answered.
type Case struct {
	Path     string
	Detector string
	Raw      json.RawMessage // as the file has it: a string, or a vendor's document
	Output   string          // as wire.Parse takes it
}

// Path is that of a file or directory of the corpus: cases, vendors.
func Path(name string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "testdata", name)
}

// Cases are all of the corpus, in the order of their names.
func Cases(t testing.TB) []Case {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Path("cases"), "*.json"))
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	all := make([]Case, len(paths))
	for i, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Detector string
			Output   json.RawMessage
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c := Case{path, doc.Detector, doc.Output, string(doc.Output)}
		if c.Output[0] == '"' {
			if err := json.Unmarshal(doc.Output, &c.Output); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		all[i] = c
	}
	return all
}
