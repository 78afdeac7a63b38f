package checkpoint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSeal(t *testing.T) {
	raw := "# what it is for\n" + regexp.MustCompile(`sha256: \w+, bytes: \d+`).ReplaceAllString(manifest(), `sha256: "", bytes: 0`)
	dir := write(t, raw)
	if _, err := Open(dir); err == nil {
		t.Fatal("opened without hashes")
	}
	rename := func(m *yaml.Node) error { SetField(m, "version", "2", "!!str"); return nil }
	if err := Seal(dir, rename); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil || c.ID() != "test@2" {
		t.Fatal(c, err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "manifest.yaml"))
	if err != nil || !strings.Contains(string(sealed), "# what it is for") {
		t.Errorf("%s %v", sealed, err)
	}
	if err := Seal(dir, nil); err != nil {
		t.Error(err)
	}
	again, err := os.ReadFile(filepath.Join(dir, "manifest.yaml"))
	if err != nil || string(again) != string(sealed) {
		t.Errorf("sealed again it is %s", again)
	}
}

func TestSealRefuses(t *testing.T) {
	f := func(manifest, want string) {
		t.Helper()
		if err := Seal(write(t, manifest), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("[]", "not a manifest")
	f("a: [", "manifest.yaml")
	f("base: {file: absent.gguf}\nadapters: [{file: gone.gguf}]", "gone.gguf")
	f("base: {file: ../base.gguf}", "plain file name")
	if err := Seal(t.TempDir(), nil); err == nil {
		t.Error("sealed nothing")
	}
}
