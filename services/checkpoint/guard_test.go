package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// guardIn is the directory of the template for Llama Guard 3, sealed, with changes to its manifest.
func guardIn(t *testing.T, changes ...string) string {
	t.Helper()
	raw, err := os.ReadFile("../../checkpoints/llama-guard-3/manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(changes...).Replace(string(raw))
	if len(changes) > 0 && text == string(raw) {
		t.Fatalf("the template has no %q", changes[0])
	}
	dir := write(t, text)
	if err := os.WriteFile(filepath.Join(dir, "base-f16.gguf"), weights, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Seal(dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The template for a guard is complete but for the file and its hash, and sealing keeps the empty line that ends the prefix.
func TestGuardTemplate(t *testing.T) {
	c, err := Open(guardIn(t))
	if err != nil {
		t.Fatal(err)
	}
	if !c.IsGuard() || !strings.HasSuffix(c.Prompt.Prefix, "<BEGIN CONVERSATION>\n\n") || c.Prompt.Guard.Roles["assistant"] != "Agent" || c.Prompt.Guard.Suffix == "" {
		t.Errorf("%+v", c.Manifest)
	}
	for _, category := range c.Codec.Verdict.Categories {
		if !strings.Contains(c.Prompt.Prefix, "\n"+category+": ") {
			t.Errorf("the prefix does not name %s", category)
		}
	}
	if n := len(c.Codec.Verdict.Texts()); n != 1+14+91+364 {
		t.Errorf("%d verdicts", n)
	}
}

func TestTexts(t *testing.T) {
	v := Verdict{Clean: "safe", Flagged: "unsafe\n", Categories: []string{"S1", "S2", "S10"}, Most: 2}
	want := []string{"safe", "unsafe\nS1", "unsafe\nS1,S2", "unsafe\nS1,S10", "unsafe\nS2", "unsafe\nS2,S10", "unsafe\nS10"}
	if got := v.Texts(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A guard has what a guard has, and a checkpoint that maps has nothing of it.
func TestGuardRefuses(t *testing.T) {
	f := func(old, with, want string) {
		t.Helper()
		_, err := Open(guardIn(t, old, with))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: got %v, want %q", with, old, err, want)
		}
	}
	f("schema: 2", "schema: 1", "schema is 1")
	f("\nbase:", "\ntaxonomy: '2026.11'\nbase:", "taxonomy is for checkpoints that map findings")
	f("\nbase:", "\nlexicon: {file: lora.gguf}\nbase:", "lexicon is for checkpoints that map findings")
	f("\nbase:", "\ngolden: {file: lora.gguf}\nbase:", "golden is for checkpoints that map findings")
	f("\nbase:", "\nadapters: [{file: lora.gguf}]\nbase:", "adapters is for checkpoints that map findings")
	f("\n  max_tokens:", "\n  normalize: words\n  max_tokens:", "prompt.normalize is for checkpoints that map findings")
	f("\n  max_tokens:", "\n  evidence: {labels: 1, item: x}\n  max_tokens:", "prompt.evidence is for checkpoints that map findings")
	f("\n  max_tokens:", "\n  kinds: [{kind: x, match: [x]}]\n  default_kind: y\n  max_tokens:", "prompt.default_kind is for checkpoints that map findings")
	f("type: verdict", "type: verdict\n  codes: {A: b}", "codec.codes is for checkpoints that map findings")
	f("{conversation}\\n", "{finding}\\n", "{finding} is none of {role}, {conversation}")
	f("{conversation}\\n", "", "prompt.template must have {conversation} once")
	f("roles: {user: User, assistant: Agent}", "roles: {assistant: Agent}", "prompt.roles must name user")
	f("roles: {user: User, assistant: Agent}", "roles: {user: User, assistant: }", "prompt.roles.assistant must be the model's name of it")
	f("clean: safe", "clean: ''", "codec.clean, codec.flagged and codec.end must be set")
	f("[S1, S2,", "[S1, S1,", `codec.categories: "S1" is twice there`)
	f("[S1, S2,", "[S1, 'S,2',", `codec.categories: "S,2"`)
	f("most: 3", "most: 4", "codec.most is 4, outside 1 to 3")
	f("max_tokens: 1024", "max_tokens: 0", "max_tokens")
	f("type: verdict", "type: json", "prompt.suffix and roles, and codec.clean, flagged, categories, most and end are a guard's")

	path := write(t, strings.Replace(manifest(), "type: code", "type: verdict", 1))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "codec.codes is for checkpoints that map findings") {
		t.Errorf("a mapping manifest with a guard's codec: %v", err)
	}
}
