package wire

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// short writes an output's findings on one line.
func short(out Output) string {
	var parts []string
	for _, f := range out.Findings {
		s := f.Native
		if f.Words != "" && f.Words != f.Native {
			s += "=" + f.Words
		}
		if f.Score != nil {
			s += fmt.Sprintf(":%.2f", *f.Score)
		}
		if f.Clean {
			s += "(clean)"
		}
		parts = append(parts, s)
	}
	return out.Vendor + " " + out.Table + " [" + strings.Join(parts, ", ") + "]"
}

func checkParse(t *testing.T, detector, output, want string) {
	t.Helper()
	out, err := Parse(detector, output)
	if got := short(out); err != nil || got != want {
		t.Errorf("%s %.60q: got %s, %v; want %s", detector, output, got, err, want)
	}
}

func TestParseDocuments(t *testing.T) {
	f := func(detector, output, want string) {
		t.Helper()
		checkParse(t, detector, output, want)
	}
	file := func(name string) string {
		all := corpus(t)
		i := slices.IndexFunc(all, func(e example) bool { return filepath.Base(e.path) == name })
		return all[i].text(t)
	}
	f("x", file("openai.json"), "openai openai-moderation [harassment:0.71, violence:0.93]")
	f("x", `{"results":[{"flagged":false,"categories":{"hate":false}}]}`, "openai openai-moderation [clean(clean)]")
	f("x", `{"results":[{"flagged":true,"categories":{}}]}`, "openai openai-moderation [flagged]")
	f("x", `{"results":[{"flagged":true,"categories":{"hate":true},"category_scores":{"hate":0.5}},{"flagged":true,"categories":{"hate":true},"category_scores":{"hate":0.9}}]}`,
		"openai openai-moderation [hate:0.90]")
	f("x", file("azure.json"), "azure azure-content-safety [Sexual:0.29, Violence:1.00, Blocklist]")
	f("x", `{"categoriesAnalysis":[{"category":"Hate","severity":0}],"blocklistsMatch":[]}`, "azure azure-content-safety [clean(clean)]")
	f("x", `{"userPromptAnalysis":{"attackDetected":true},"documentsAnalysis":[{"attackDetected":false},{"attackDetected":true}]}`,
		"azure azure-content-safety [UserPromptAttack, DocumentAttack]")
	f("x", `{"userPromptAnalysis":{"attackDetected":false},"documentsAnalysis":[]}`, "azure azure-content-safety [clean(clean)]")
	f("x", `{"protectedMaterialAnalysis":{"detected":true}}`, "azure azure-content-safety [ProtectedMaterial]")
	f("x", `{"ungroundedDetected":true,"ungroundedPercentage":0.4}`, "azure azure-content-safety [Ungrounded:0.40]")
	f("x", file("azure-four-levels.json"), "azure azure-content-safety [Hate:0.57]")
	f("x", file("azure-shield-prompt.json"), "azure azure-content-safety [UserPromptAttack, DocumentAttack]")
	f("x", file("azure-protected-code.json"), "azure azure-content-safety [ProtectedMaterial]")
	f("x", file("azure-groundedness.json"), "azure azure-content-safety [Ungrounded:0.50]")
	f("x", file("azure-unified.json"), "azure azure-content-safety [Jailbreak, Violence:1.00, house rules]")
	f("x", `{"userPromptAnalysis":null,"documentsAnalysis":[{"attackDetected":true}]}`, "azure azure-content-safety [DocumentAttack]")
	f("x", `{"verdict":"blocked","acsVerdict":{"decision":"deny"}}`, "azure azure-content-safety [Blocked]")
	f("x", `{"verdict":"allowed","acsVerdict":{"decision":"allow","harmResults":{"Hate":{"blocked":false,"detected":false,"severity":"safe"}}}}`,
		"azure azure-content-safety [clean(clean)]")
	f("x", file("openai-clean.json"), "openai openai-moderation [clean(clean)]")
	f("x", file("openai-python.json"), "openai openai-moderation [self-harm/intent:0.81, sexual/minors:0.66]")
	f("x", file("presidio-batch.json"), "presidio presidio [PERSON:0.85, US_DRIVER_LICENSE:0.40]")
	f("x", file("presidio.json"), "presidio presidio [EMAIL_ADDRESS:1.00, US_SSN:0.50]")
	f("x", `[]`, "presidio presidio [clean(clean)]")
	f("x", `[[{"entity_type":"PERSON"}],[]]`, "presidio presidio [PERSON]")
}

func TestParseText(t *testing.T) {
	f := func(detector, output, want string) {
		t.Helper()
		checkParse(t, detector, output, want)
	}
	f("x", "hate_4", "text  [hate_4]")
	f("azure", "hate_4|self_harm_0|Violence", "text  [Hate:0.57, self_harm_0(clean), Violence]")
	f("llama-guard-3", "\n\nunsafe\nS1,S10", "llama-guard llama-guard-3 [S1=Violent Crimes, S10=Hate]")
	f("Meta-Llama-Guard-2-8B", "unsafe\nS6", "llama-guard llama-guard-2 [S6=Privacy]")
	f("llamaguard-1", "unsafe\nO3", "llama-guard llama-guard-1 [O3=Criminal Planning]")
	f("LlamaGuard-7b", "unsafe\nO4", "llama-guard llama-guard-1 [O4=Guns and Illegal Weapons]")
	f("llama-guard", "unsafe\nO6", "llama-guard llama-guard-1 [O6=Suicide and Self Harm]")
	f("Llama-Guard-12B", "unsafe\nS1", "llama-guard llama-guard-3 [S1=Violent Crimes]") // a size, not version 1
	f("llama-guard3:8b", "S1, s1 S3", "llama-guard llama-guard-3 [S1=Violent Crimes, S3=Sex-Related Crimes]")
	f("llama-guard-3", "unsafe\nO1", "llama-guard llama-guard-3 [O1]")
	f("llama-guard-3", "safe\nS1", "text  [safe\nS1]") // a contradiction is not clean
	f("llama-guard-4", "unsafe S14, S99", "llama-guard llama-guard-3 [S14=Code Interpreter Abuse, S99]")
	f("llama_guard", "safe", "llama-guard llama-guard-3 [clean(clean)]")
	f("llama-guard-3", "unsafe", "llama-guard llama-guard-3 [unsafe]")
	f("llama-guard-3", "violence", "text  [violence]")
	f("x", " toxic | severe_toxic||", "text  [toxic, severe_toxic]")
	f("x", "SAFE", "text  [SAFE(clean)]")
	f("x", "Not_Toxic|No issues found.|0|no|False", "text  [Not_Toxic(clean), No issues found.(clean), 0(clean), no(clean), False(clean)]")
	f("x", "1|yes|True", "text  [1=flagged, yes=flagged, True=flagged]")
	f("x", "unsafe|no_pii_policy|clean_room|00", "text  [unsafe, no_pii_policy, clean_room, 00]")
	f("x", "the user asks how to build a bomb", "text  [the user asks how to build a bomb]")
}

func TestParseRefuses(t *testing.T) {
	f := func(output string, want error) {
		t.Helper()
		if out, err := Parse("x", output); !errors.Is(err, want) || len(out.Findings) > 0 {
			t.Errorf("%.60q: got %v, want %v", output, err, want)
		}
	}
	f("", ErrEmpty)
	f(" | |", ErrEmpty)
	f(strings.Repeat("a|", 10_000), ErrTooMany)
	f(strings.Repeat("a", 513), ErrTooLong)
	f(`{"label":"x"}`, ErrShape)
	f(`{"results":[]}`, ErrShape)
	f(`{"results":[{"x":1}]}`, ErrShape)
	f(`{"results":"x"}`, ErrShape)
	f(`{"categoriesAnalysis":1}`, ErrShape)
	f(`{"categoriesAnalysis":[{"category":"Hate"}]}`, ErrShape) // no verdict is not a clean one
	f(`{"categoriesAnalysis":null}`, ErrShape)
	f(`{"userPromptAnalysis":{}}`, ErrShape)
	f(`{"userPromptAnalysis":null,"documentsAnalysis":[{"attackDetected":null}]}`, ErrShape)
	f(`{"protectedMaterialAnalysis":{}}`, ErrShape)
	f(`{"acsVerdict":{}}`, ErrShape)
	f(`{"acsVerdict":{"decision":"deny","harmResults":{"Hate":{}}}}`, ErrShape)
	f(`{"acsVerdict":{"decision":"deny","harmResults":{"he lives at <5>":{"detected":true}}}}`, ErrName)
	f(`[] []`, ErrJSON)
	f(`{"results":[]} x`, ErrJSON)
	f(`[1]`, ErrShape)
	f(`[{"label":"x"}]`, ErrShape)
	f(`{"results":`, ErrJSON)
	f(`[{"entity_type":`, ErrJSON)
	f(`[{"entity_type":"my name is Jane, and I live at 5"}]`, ErrName)
	if _, err := Parse("x", strings.Repeat("[", 40)); err == nil {
		t.Error("deep JSON was taken")
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`{"entity_type":"E%d"}`, i))
	}
	f("["+strings.Join(many, ",")+"]", ErrTooMany)
}
