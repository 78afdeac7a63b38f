package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The template for a checkpoint of one's own is complete but for the files and their hashes.
func TestTemplate(t *testing.T) {
	raw, err := os.ReadFile("../../checkpoints/llama-3-8b-lora/manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, string(raw))
	for name, content := range map[string][]byte{"base-f16.gguf": weights, "mapper-lora-f16.gguf": matrix, "lexicon.tsv": []byte("e mail\tPII.Contact.Email\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Seal(dir, nil); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	shippedOne, err := Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for label := range shippedOne.Codec.Codes {
		if !strings.Contains(c.Prompt.Prefix, label+": ") {
			t.Errorf("the prefix does not name %s", label)
		}
	}
}
