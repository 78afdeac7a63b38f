package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files writes files into a directory and returns it.
func files(t *testing.T, of map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range of {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPolicyLint(t *testing.T) {
	if out, err := ctl("policy", "lint", "../../config/policies/default.yaml"); err != nil || out != "" {
		t.Errorf("%s, %v", out, err)
	}
	bad := filepath.Join(files(t, map[string]string{"bad.yaml": "name: bad\ndetectors: {pii: {}}\nrules:\n  - {labels: [\"HARM.*\"], action: block}\n"}), "bad.yaml")
	if out, err := ctl("policy", "lint", bad); err == nil || out != bad+":4: no detector of the policy says any label that it is for; add one, or remove the rule (no-trigger)" {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := ctl("policy", "lint", "--sarif", bad); err == nil || !strings.Contains(out, `"startLine": 4`) || !strings.Contains(out, "llama-mapper-policies") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := ctl("policy", "lint", "nowhere.yaml"); err == nil {
		t.Error("a file that is not there was linted")
	}
}

func TestPolicyTest(t *testing.T) {
	if out, err := ctl("policy", "test", "../../config/policies/default.test.yaml"); err != nil || !strings.Contains(out, "pass  a key\n") {
		t.Errorf("%s, %v", out, err)
	}
	dir := files(t, map[string]string{
		"p.yaml":    "name: p\ndetectors: {pii: {}}\nrego: |\n  package llama_mapper\n  action := \"block\" if input.evidence.characters > 5\n",
		"t.yaml":    "policy: p.yaml\ncases:\n  - {name: long, evidence: {characters: 6}, want: {action: block}}\n  - {name: short, evidence: {}, want: {action: flag}}\n",
		"gone.yaml": "policy: gone\ncases: [{name: a}]",
		"rego.yaml": "name: p\ndetectors: {pii: {}}\nrego: action",
		"r.yaml":    "policy: rego.yaml\ncases: [{name: a}]",
	})
	out, err := ctl("policy", "test", filepath.Join(dir, "t.yaml"))
	if err == nil || err.Error() != "1 of 2 cases failed" || out != "pass  long\nFAIL  short  action is allow, not flag" {
		t.Errorf("%s, %v", out, err)
	}
	for _, name := range []string{"gone.yaml", "r.yaml", "p.yaml", "nowhere"} {
		if _, err := ctl("policy", "test", filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was run", name)
		}
	}
}

func TestPolicyDiff(t *testing.T) {
	dir := files(t, map[string]string{
		"a.yaml": "name: a\ndetectors: {pii: {threshold: 0.9}}\n",
		"b.yaml": "name: b\ndetectors: {pii: {threshold: 0.8}}\n",
		"e.ndjson": `{"content_type":"text","mapped":true,"detectors":[{"name":"pii","status":"ok","findings":[{"native":"N","score":0.85,"labels":["PII.Other"],"confidence":1}]}]}` + "\n\n" +
			`{"content_type":"text","mapped":true,"detectors":[{"name":"pii","status":"ok"}]}` + "\n",
		"bad.ndjson": "{}\nx\n",
	})
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	if out, err := ctl("policy", "diff", a, b); err != nil || out != "stricter  detectors.pii.threshold  0.9 -> 0.8" {
		t.Errorf("%s, %v", out, err)
	}
	out, err := ctl("policy", "diff", a, b, "--evidence", filepath.Join(dir, "e.ndjson"))
	if err != nil || !strings.Contains(out, "line 1: allow -> flag (label PII.Other)\n{") || !strings.Contains(out, `"compared": 2,`) {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := ctl("policy", "diff", a, b, "--evidence", filepath.Join(dir, "bad.ndjson")); err == nil || !strings.Contains(err.Error(), "line 2 is no evidence") {
		t.Error(err)
	}
}
