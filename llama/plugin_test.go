//go:build llama

package llama

import (
	"os"
	"slices"
	"testing"
)

// A GPU backend, loaded by its path, takes all layers and gives the CPU's answers but for its own rounding; with
// the candidates' rows of the head and with the whole head. `make test-gpu` names one that needs no GPU.
func TestPlugin(t *testing.T) {
	path := os.Getenv("LLAMA_TEST_PLUGIN")
	if path == "" {
		t.Skip("LLAMA_TEST_PLUGIN names no backend; see make test-gpu")
	}
	cpu := load(t)
	if err := LoadPlugin(path); err != nil {
		t.Fatal(err)
	}
	devices, err := Devices()
	if err != nil || !slices.ContainsFunc(devices, func(d Device) bool { return d.GPU }) {
		t.Fatalf("no GPU among %+v, %v", devices, err)
	}
	gpu, err := LoadModel(basePath, ModelOptions{GPULayers: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, gpu) })
	full := testOptions
	full.FullHead = true
	text := tokens(t, cpu, "private key in source code")
	want := slices.Clone(run(t, newContext(t, cpu, full), text, 0, 0))
	for _, o := range []ContextOptions{full, testOptions} {
		x := newContext(t, gpu, o)
		for seq := range Seq(2) { // the first decode computes the whole head in any case
			got := run(t, x, text, seq, 0)
			if d := distance(got, want); d == 0 || d > 0.1 {
				t.Errorf("FullHead %v: logits differ by %g from the CPU's; 0 would mean that it was the CPU", o.FullHead, d)
			}
		}
	}
}
