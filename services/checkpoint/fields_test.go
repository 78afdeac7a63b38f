package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One look says all that is wrong with a manifest and the files beside it.
func TestEveryMistakeAtOnce(t *testing.T) {
	text := strings.NewReplacer(
		"name: test", "name: test\nsurprise: 1",
		"{finding}", "{found} {kind",
		"type: code", "type: json",
		"max_tokens: 8", "max_tokens: 8, evidence: {labels: 2, item: '{code} {near}'}, sampling: greedy",
		"adapters: [", "golden: {file: rows.jsonl, sha256: '', bytes: 0}\nadapters: [{name: b, file: absent.gguf, sha256: "+strings.Repeat("1", 64)+", bytes: 1, scale: 1.0, min_words: 6}, ",
	).Replace(manifest())
	dir := write(t, text)
	broken := append([]byte{}, matrix[:len(matrix)-16]...)
	if err := os.WriteFile(filepath.Join(dir, "lora.gguf"), broken, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil {
		t.Fatal("opened it")
	}
	for _, want := range []string{
		"line 4: surprise is not a key that is known here (Manifest)",
		"sampling is not a key that is known here (Prompt)",
		"prompt.template: {found} is none of {kind}, {evidence}, {finding}",
		"prompt.template has a brace without its other half",
		"prompt.template lacks {finding}",
		"prompt.template lacks {evidence}",
		"prompt.evidence.item: {near} is none of",
		"prompt.evidence.item has {code}, which only codec code has",
		"lexicon and prompt.evidence go together",
		"codec.codes is for type code",
		"golden.sha256 is not 64 hex digits, or its bytes 0; `mapperctl checkpoint seal`",
		"absent.gguf is missing",
		"rows.jsonl is missing",
		"lora.gguf has 528 bytes and SHA-256",
		"lora.gguf: tensor \"w.lora_b\" lies outside the file, which has 528 bytes: it is truncated or damaged",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestTemplateFields(t *testing.T) {
	f := func(template string, e *Evidence, want string) {
		t.Helper()
		p := Prompt{Template: template, Evidence: e}
		err := p.fields("json")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", template, err, want)
		}
	}
	item := &Evidence{Item: "{entry} = {label}, {percent}\n"}
	f("{finding}", nil, "")
	f("{kind}{evidence}{finding}<A>", item, "")
	f("{finding}{finding}", nil, "")
	f("finding", nil, "lacks {finding}")
	f("{evidence}{finding}", nil, "prompt.evidence is not set")
	f("{finding}", item, "lacks {evidence}")
	f(`{"finding":"{finding}"}`, nil, "without its other half")
	f("{finding}{}", nil, "{} is none of")
}

func TestReadKeepsWhatItCould(t *testing.T) {
	m, err := Read(write(t, strings.Replace(manifest(), "name: test", "name: test\nsurprise: 1", 1)))
	if err == nil || m.Name != "test" || m.Codec.Codes["A.B"] != "<0>" {
		t.Errorf("%+v %v", m, err)
	}
	for text, want := range map[string]string{"": "it is empty", "a: [": "line 1", "[]": "cannot unmarshal"} {
		if m, err := Read(write(t, text)); err == nil || !strings.Contains(err.Error(), want) || m.Schema != 0 {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
