// Package guardtest makes guards for tests.
package guardtest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/llama-mapper/llama-mapper/llama/llamatest"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// Dir makes a guard's directory of the template for Llama Guard 3 and a model of noise that has Llama 3's vocabulary.
func Dir(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	manifest, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../checkpoints/llama-guard-3/manifest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	llamatest.Llama3(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "manifest.yaml"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Seal(dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}
