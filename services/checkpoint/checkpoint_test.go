package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shipped = "../../checkpoints/mapper-tiny"

// The files that write puts beside a manifest.
var (
	weights = base().tensor("w", 0, 1, 32, 4).data(256)
	matrix  = lora().tensor("w.lora_a", 0, 0, 32, 2).tensor("w.lora_b", 256, 0, 2, 4).data(288)
)

// manifest is a small valid one for these files.
func manifest() string {
	return fmt.Sprintf(`
schema: 2
name: test
version: "1"
taxonomy: "2026.11"
base: {file: base.gguf, sha256: %x, bytes: %d, parameters: 1}
adapters: [{name: a, file: lora.gguf, sha256: %x, bytes: %d, scale: 1.0}]
prompt: {normalize: words, template: "{finding}", max_tokens: 8}
codec: {type: code, codes: {A.B: "<0>", A.C: "<1>"}}
calibration: {method: temperature, temperature: 1.0}
`, sha256.Sum256(weights), len(weights), sha256.Sum256(matrix), len(matrix))
}

func write(t *testing.T, manifest string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"manifest.yaml": []byte(manifest), "base.gguf": weights, "lora.gguf": matrix} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestShipped(t *testing.T) {
	c, err := Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID() != "mapper-tiny@"+c.Version || len(c.Codec.Codes) != 89 {
		t.Errorf("%s with %d codes", c.ID(), len(c.Codec.Codes))
	}
	var total int64
	for _, f := range c.Files() {
		total += f.Bytes
	}
	if total >= 25_000_000 {
		t.Errorf("the shipped weights have %d bytes", total)
	}
	for _, d := range c.Data {
		raw, err := os.ReadFile(filepath.Join(shipped, "..", d.File))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(raw)) != d.SHA256 {
			t.Errorf("%s is not what the checkpoint was trained on; run `make checkpoint` (%v)", d.File, err)
		}
	}
}

func TestOpen(t *testing.T) {
	c, err := Open(write(t, manifest()))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Path(c.Adapters[0].File); filepath.Base(got) != "lora.gguf" {
		t.Errorf("path %s", got)
	}
}

func TestRefuses(t *testing.T) {
	f := func(old, with, want string) {
		t.Helper()
		if !strings.Contains(manifest(), old) {
			t.Fatalf("the manifest has no %q", old)
		}
		_, err := Open(write(t, strings.Replace(manifest(), old, with, 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: got %v, want %q", with, old, err, want)
		}
	}
	f("schema: 2", "schema: 1", "schema is 1")
	f("name: test", "name: test\nsurprise: 1", "surprise")
	f(fmt.Sprintf("bytes: %d", len(weights)), "bytes: 5", "the manifest says 5")
	f(fmt.Sprintf("%x", sha256.Sum256(matrix)), strings.Repeat("0", 64), "SHA-256")
	f(fmt.Sprintf("file: lora.gguf, sha256: %x, bytes: %d", sha256.Sum256(matrix), len(matrix)),
		fmt.Sprintf("file: base.gguf, sha256: %x, bytes: %d", sha256.Sum256(weights), len(weights)), "not a LoRA adapter")
	f("file: lora.gguf", "file: ../lora.gguf", "plain file name")
	f("file: lora.gguf", "file: absent.gguf", "absent.gguf")
	f("type: code", "type: xml", "codec.type")
	f("temperature: 1.0", "temperature: 0", "calibration.temperature")
	f("max_tokens: 8", "max_tokens: 0", "max_tokens")
	f("normalize: words", "normalize: lots", "normalize")
	f("scale: 1.0", "scale: 1.0, min_words: 3", "none has min_words 0")
	f("max_tokens: 8", "max_tokens: 8, evidence: {labels: 2, item: x}", "go together")
	f("schema: 2", strings.Repeat("# long\n", maxManifest/7+1), "longer than")
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("opened an empty directory")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(manifest()))
	guard, err := os.ReadFile("../../checkpoints/llama-guard-3/manifest.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(strings.NewReplacer(`sha256: ""`, "sha256: "+strings.Repeat("0", 64), "bytes: 0", "bytes: 1").Replace(string(guard))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parse(raw)
		if err == nil && m.IsGuard() && len(m.Codec.Verdict.Texts()) > 1+32+496+4960 {
			t.Errorf("%d verdicts", len(m.Codec.Verdict.Texts()))
		}
		if err == nil && (m.Schema != Schema || m.Base.File.File == "" || strings.Contains(m.Base.File.File, "/")) {
			t.Errorf("accepted %+v", m)
		}
	})
}
