package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// With the content, a span in one unit says the others.
func TestSpanIn(t *testing.T) {
	at := func(start, end int) *[2]int { return &[2]int{start, end} }
	f := func(content string, s Span, bytes, runes *[2]int) {
		t.Helper()
		if got := s.In(content); !reflect.DeepEqual(got.Byte, bytes) || !reflect.DeepEqual(got.Rune, runes) {
			t.Errorf("%q %+v: %v %v, want %v %v", content, s, got.Byte, got.Rune, bytes, runes)
		}
	}
	f("plain", Span{Rune: at(1, 3)}, at(1, 3), at(1, 3))
	f("né à", Span{Rune: at(1, 4)}, at(1, 6), at(1, 4))
	f("né à", Span{Byte: at(1, 6)}, at(1, 6), at(1, 4))
	f("a😀b", Span{UTF16: at(1, 3)}, at(1, 5), at(1, 2)) // two units of UTF-16, four bytes
	f("e\u0301x", Span{Rune: at(1, 2)}, at(1, 3), at(1, 2))
	f("a😀b", Span{UTF16: at(2, 3)}, nil, nil)             // inside of a code point
	f("né", Span{Byte: at(0, 2)}, at(0, 2), nil)          // the same
	f("abc", Span{Rune: at(1, 9)}, nil, at(1, 9))         // behind the end
	f("abc", Span{Rune: at(2, 3)}, at(2, 3), at(2, 3))    // at the end
	f("a\xffb", Span{Rune: at(1, 3)}, at(1, 3), at(1, 3)) // a byte that is no UTF-8 is a code point
	f("", Span{Rune: at(0, 1)}, nil, at(0, 1))
	f("abc", Span{}, nil, nil)
}

func FuzzSpanIn(f *testing.F) {
	f.Add("a😀b\xff", 1, 3)
	f.Fuzz(func(t *testing.T, content string, start, end int) {
		for _, s := range []Span{{Rune: &[2]int{start, end}}, {UTF16: &[2]int{start, end}}, {Byte: &[2]int{start, end}}} {
			got := s.In(content)
			if got.Byte != nil && got.Rune != nil && (got.Rune[1]-got.Rune[0] > got.Byte[1]-got.Byte[0]) && end >= start {
				t.Errorf("%q %+v", content, got)
			}
		}
	})
}

// Positions are numbers or strings of digits; all else makes no span.
func TestOffset(t *testing.T) {
	f := func(start, end, want string) {
		t.Helper()
		var r dlpRange
		if err := json.Unmarshal([]byte(fmt.Sprintf(`{"start":%s,"end":%s}`, start, end)), &r); err != nil {
			t.Fatal(err)
		}
		got := "none"
		if at := pair(r.Start, r.End); at != nil {
			got = fmt.Sprint(*at)
		}
		if got != want {
			t.Errorf("%s to %s: %s, want %s", start, end, got, want)
		}
	}
	f("1", "3", "[1 3]")
	f(`"1"`, `"3"`, "[1 3]")
	f("null", "3", "[0 3]") // a start of 0 is left out
	f("3", "3", "none")
	f("5", "3", "none")
	f("-1", "3", "none")
	f("1.5", "3", "none")
	f(`"x"`, "3", "none")
	f("0", "99999999999999999999", "none")
	f("0", `{"a":1}`, "none")
}

// Every format holds the limits of findings and of labels.
func TestLimits(t *testing.T) {
	many := func(row string, n int) string {
		var rows []string
		for i := range n {
			rows = append(rows, strings.ReplaceAll(row, "#", fmt.Sprint("L", i)))
		}
		return strings.Join(rows, ",")
	}
	for name, shape := range map[string][2]string{
		"azure":       {`{"categoriesAnalysis":[@]}`, `{"category":"#","severity":2}`},
		"presidio":    {`[@]`, `{"entity_type":"#","score":1}`},
		"google-dlp":  {`{"result":{"findings":[@]}}`, `{"infoType":{"name":"#"}}`},
		"bedrock":     {`{"action":"NONE","assessments":[{"contentPolicy":{"filters":[@]}}]}`, `{"type":"#","detected":true}`},
		"lakera":      {`{"flagged":true,"breakdown":[@]}`, `{"detector_type":"#","detected":true}`},
		"perspective": {`{"attributeScores":{@}}`, `"#":{"summaryScore":{"value":0.9}}`},
		"openai":      {`{"results":[{"flagged":true,"categories":{@}}]}`, `"#":true`},
		"llm-guard":   {`{"is_valid":false,"scanners":{@}}`, `"#":1`},
		"nemo":        {`{"status":"blocked","rails_status":{@}}`, `"#":{"status":"blocked"}`},
		"nemoguard":   {`{"User Safety":"unsafe","Safety Categories":[@]}`, `"#"`},
		"huggingface": {`[@]`, `{"label":"#","score":0.9}`},
		"tokens":      {`[@]`, `{"entity_group":"#","score":0.9}`},
		"gitleaks":    {`[@]`, `{"RuleID":"#"}`},
		"sarif":       {`{"version":"2.1.0","runs":[{"results":[@]}]}`, `{"ruleId":"#"}`},
		"fms":         {`[[@]]`, `{"detection_type":"#","score":0.9}`},
		"guardrails":  {`{"validationPassed":false,"validationSummaries":[@]}`, `{"validatorName":"#","validatorStatus":"fail"}`},
		"armor":       {`{"sanitizationResult":{"filterMatchState":"MATCH_FOUND","filterResults":{@}}}`, `"#":{"x":{"matchState":"MATCH_FOUND"}}`},
		"own":         {`{"findings":[@]}`, `{"label":"#"}`},
	} {
		read := func(row string, n int) error {
			_, err := Parse("x", strings.ReplaceAll(shape[0], "@", many(row, n)))
			return err
		}
		if err := read(shape[1], MaxFindings); err != nil {
			t.Errorf("%s: %d findings: %v", name, MaxFindings, err)
		}
		if err := read(shape[1], MaxFindings+1); !errors.Is(err, ErrTooMany) {
			t.Errorf("%s: %d findings: %v", name, MaxFindings+1, err)
		}
		for _, label := range []string{strings.Repeat("a", 65), "my name is <Jane>", "a\u00e9b", ""} {
			if err := read(strings.ReplaceAll(shape[1], "#", label), 1); !errors.Is(err, ErrName) && !(label == "" && err != nil) && !(name == "nemoguard" && label == "") {
				t.Errorf("%s: label %q: %v", name, label, err)
			}
		}
	}
}

// An answer without its verdict is an error: it is not clean.
func TestNoVerdict(t *testing.T) {
	for _, output := range []string{
		`{"result":{"other":1}}`, `{"result":5}`, `{"result":{"findings":5}}`,
		`{"sanitizationResult":{}}`, `{"sanitizationResult":{"filterMatchState":"MAYBE"}}`, `{"sanitizationResult":null}`,
		`{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND","filterResults":{"csam":{"csamFilterFilterResult":{}}}}}`,
		`{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND","filterResults":{"rai":{"raiFilterResult":{"matchState":"NO_MATCH_FOUND","raiFilterTypeResults":{"dangerous":null}}}}}}`,
		`{"action":"MAYBE","assessments":[]}`, `{"assessments":[]}`, `{"trace":{"guardrail":{}}}`, `{"trace":{"guardrail":5}}`,
		`{"attributeScores":{}}`, `{"attributeScores":{"TOXICITY":{}}}`, `{"attributeScores":{"TOXICITY":null}}`,
		`{"flagged":null,"metadata":{}}`, `{"flagged":true}`, `{"flagged":false,"breakdown":[{"detector_type":"pii/email"}]}`,
		`[{"label":"toxic","score":null}]`, `[{"label":null,"score":1}]`, `[{"entity_group":"PER"}]`, `{"toxicity":"high","insult":1}`, `{"toxicity":[],"insult":[]}`,
		`{"is_valid":null,"scanners":{}}`, `{"is_valid":true,"scanners":{"Toxicity":null}}`,
		`{"decision":"perhaps","score":1,"status":"success"}`, `{"decision":"allow","score":1,"status":"perhaps"}`, `{"decision":"","score":0,"reason":"x"}`,
		`{"validationPassed":null}`, `{"validationPassed":"yes"}`,
		`[{"RuleID":null}]`, `{"version":"2.1.0","runs":[]}`, `{"version":"2.1.0","runs":[{"results":[{"message":{}}]}]}`,
		`[[{"detection_type":null}]]`, `{"detections":[{"detection":"x"}]}`, `{"detections":{"input":[]}}`,
		`{"status":"success"}`, `{"status":"perhaps","rails_status":{}}`, `{"log":{}}`,
		`{"User Safety":"perhaps"}`, `{"Safety Categories":"Violence"}`, `{"User Safety":5}`,
		`{"action":"MAYBE","texts":["x"]}`,
		`{"findings":null}`, `{"findings":5}`,
	} {
		if out, err := Parse("x", output); err == nil {
			t.Errorf("%s was taken: %s", output, short(out))
		}
	}
	for _, output := range []string{
		`{"findings":[{"label":"x","score":85}]}`, `{"findings":[{"label":"x","score":-1}]}`, `{"findings":[{"label":"x","score":1,"scale":"stars"}]}`,
		`{"findings":[{"label":"x","score":8,"scale":"0-7"}]}`, `{"findings":[{"label":"x","score":8,"scale":"0-0"}]}`,
	} {
		if _, err := Parse("x", output); !errors.Is(err, ErrScale) {
			t.Errorf("%s: %v", output, err)
		}
	}
	for _, detector := range []string{"prompt-guard-2", "Llama-Prompt-Guard-2-86M"} {
		if out, err := Parse(detector, "[]"); err == nil && out.Vendor == "prompt-guard" {
			t.Errorf("a classifier that looked at nothing is clean: %s", short(out))
		}
	}
}

// The shape wins over a name that promises another, and the name decides between formats of one shape.
func TestShapeAndName(t *testing.T) {
	checkParse(t, "presidio", `[{"label":"toxic","score":0.9}]`, "huggingface  [toxic:0.90]")
	checkParse(t, "bedrock", `{"categoriesAnalysis":[{"category":"Hate","severity":4}]}`, "azure azure-content-safety [Hate:0.57]")
	checkParse(t, "gitleaks", `[]`, "gitleaks gitleaks [clean(clean)]")
	checkParse(t, "x", `[]`, "presidio presidio [clean(clean)]")
	checkParse(t, "x", `[ [ ], [] ]`, "presidio presidio [clean(clean)]")
	checkParse(t, "x", `[[],[{"label":"LABEL_1","score":0.9}]]`, "huggingface  [LABEL_1:0.90]")
	checkParse(t, "prompt-guard-2", `[[],[{"label":"LABEL_1","score":0.9}]]`, "prompt-guard prompt-guard-2 [MALICIOUS:0.90]")
	checkParse(t, "Prompt-Guard-86M", `LABEL_2`, "prompt-guard prompt-guard-1 [JAILBREAK]")
	checkParse(t, "prompt-guard-2", `LABEL_2`, "prompt-guard prompt-guard-2 [LABEL_2]")
	checkParse(t, "x", `Yes`, "text  [Yes=flagged]")
	checkParse(t, "granite-guardian/function-call", `yes`, "granite-guardian granite-guardian [function_call]")
}
