package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What is in the repository is what the command makes. Other processors may round the weights otherwise.
func TestRunMakesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	names := []string{"testdata/train.tsv", "testdata/test.tsv"}
	if runtime.GOARCH == "amd64" {
		names = append(names, "model.bin")
	}
	for _, name := range names {
		made, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if there, err := os.ReadFile(filepath.Join("..", name)); err != nil || !bytes.Equal(made, there) {
			t.Errorf("%s is another: run the command again (%v)", name, err)
		}
	}
}
