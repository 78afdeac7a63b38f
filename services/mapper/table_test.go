package mapper

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

var update = flag.Bool("update", false, "write what tables answer into the cases of services/wire/testdata")

func shippedTables(t testing.TB) (*Taxonomy, Tables) {
	t.Helper()
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	tables, err := ParseTables(config.Detectors(), taxonomy)
	if err != nil {
		t.Fatal(err)
	}
	return taxonomy, tables
}

// answers reads an output and joins what the tables say; ? is for a label that none knows.
func answers(t testing.TB, tables Tables, detector, output string) []string {
	t.Helper()
	out, err := wire.Parse(detector, output)
	if err != nil {
		t.Fatalf("%s: %v", detector, err)
	}
	own := tables.of(detector, out)
	var all []string
	for _, f := range out.Findings {
		labels, _ := tables.lookup(own, out.Fallback, f, false)
		if labels == nil {
			labels = []string{"?"}
		}
		for _, l := range labels {
			if !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(l string) bool { return l == labelSafe })
	}
	return all
}

// Every case of the corpus gets the labels that its file says.
func TestCorpusLabels(t *testing.T) {
	_, tables := shippedTables(t)
	paths, err := filepath.Glob("../wire/testdata/cases/*.json")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			About    string          `json:"about"`
			Detector string          `json:"detector"`
			Output   json.RawMessage `json:"output"`
			Want     json.RawMessage `json:"want"`
			Labels   []string        `json:"labels"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		output := string(e.Output)
		if output[0] == '"' {
			if err := json.Unmarshal(e.Output, &output); err != nil {
				t.Fatal(err)
			}
		}
		got := answers(t, tables, e.Detector, output)
		if *update {
			e.Labels = got
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			if err := enc.Encode(e); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !slices.Equal(got, e.Labels) {
			t.Errorf("%s: got %v, want %v", path, got, e.Labels)
		}
	}
}

// vendorLists are the vendors' own lists of labels, by the detector of their table.
func vendorLists(t testing.TB) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("../wire/testdata/vendors/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no lists", err)
	}
	all := map[string][]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
				all[name] = append(all[name], line)
			}
		}
	}
	return all
}

// Every label of every vendor's list is in the vendor's table.
func TestVendorLists(t *testing.T) {
	_, tables := shippedTables(t)
	n := 0
	for detector, labels := range vendorLists(t) {
		for _, native := range labels {
			n++
			if labels, _ := tables.lookup(tables[detector], "", wire.Finding{Native: native}, false); labels == nil {
				t.Errorf("%s: %s has no answer", detector, native)
			}
		}
	}
	if n < 600 {
		t.Errorf("only %d labels", n)
	}
}

// The labels of the twelve tables of 2025.09 mean what they did, in the sense of this taxonomy.
func TestOlderLabels(t *testing.T) {
	_, tables := shippedTables(t)
	file, err := os.Open("../../checkpoints/mapper-tiny/vendor-2025.09.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for d := json.NewDecoder(file); d.More(); {
		var row struct {
			Detector, Label string
			Accept          []string
		}
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		got := answers(t, tables, row.Detector, row.Label)
		if !slices.ContainsFunc(got, func(l string) bool { return slices.Contains(row.Accept, l) }) {
			t.Errorf("%s %s: %v, not %v", row.Detector, row.Label, got, row.Accept)
		}
	}
}

// The mistakes of the tables of 2025.09 are not made again.
func TestFaults(t *testing.T) {
	_, tables := shippedTables(t)
	f := func(detector, output, want string) {
		t.Helper()
		if got := strings.Join(answers(t, tables, detector, output), " "); got != want {
			t.Errorf("%s %q: got %s, want %s", detector, output, got, want)
		}
	}
	f("azure-content-safety", "hate_0", "OTHER.Safe") // severity 0 is no harm
	f("azure-content-safety", "hate_1", "OTHER.LowRisk")
	f("azure-content-safety", "hate_6", "HARM.SPEECH.Hate.Other")
	for _, detector := range []string{"deberta-toxicity", "huggingface-transformers"} { // clean is the same in both
		f(detector, "not_toxic", "OTHER.Safe")
		f(detector, "clean", "OTHER.Safe")
		f(detector, "safe", "OTHER.Safe")
	}
	f("huggingface-transformers", "POSITIVE", "OTHER.Unknown") // a sentiment is not toxicity, nor its absence
	f("huggingface-transformers", "NEGATIVE", "OTHER.Unknown")
	f("presidio", "DATE_TIME", "PII.Other") // any date is not a date of birth, a time even less
	f("presidio", "DATE", "PII.Other")
	f("presidio", "TIME", "PII.Other")
	f("presidio", "UK_NHS", "PII.Health.HIPAA") // health's numbers are, and rows that were missing
	f("presidio", "CRYPTO", "PII.Identifier.Crypto")
	f("presidio", "US_BANK_NUMBER", "PII.Identifier.BankAccount")
	f("presidio", "US_ITIN", "PII.Identifier.TaxID")
	f("presidio", "IP_ADDRESS", "PII.Identifier.IPAddress")
	f("google-cloud-dlp", "DATE", "PII.Other")
	f("google-cloud-dlp", "DATE_OF_BIRTH", "PII.Person.DateOfBirth")
	f("google-cloud-dlp", "CANADA_SOCIAL_INSURANCE_NUMBER", "PII.Identifier.SSN") // both countries' number is one thing
	f("google-cloud-dlp", "UK_NATIONAL_INSURANCE_NUMBER", "PII.Identifier.SSN")
	f("google-cloud-dlp", "GCP_API_KEY", "SECURITY.Credential.APIKey")
	f("openai-moderation", "hate/threatening", "HARM.SPEECH.Hate.Other HARM.SPEECH.Threat") // both, as with harassment
	f("openai-moderation", "harassment/threatening", "HARM.SPEECH.Harassment HARM.SPEECH.Threat")
	f("openai-moderation", "illicit/violent", "HARM.CRIME.Other HARM.VIOLENCE.Physical")
	f("openai-moderation", "self-harm/intent", "HARM.VIOLENCE.SelfHarm")
	f("llama-guard", "unsafe\nS1", "HARM.VIOLENCE.Physical") // its own codes
	f("amazon-bedrock-guardrails", "ILLEGAL_ACTIVITY", "HARM.CRIME.Other")
	f("amazon-bedrock-guardrails", "REGULATED_SUBSTANCES", "HARM.CRIME.Drugs")
	f("amazon-bedrock-guardrails", "INSULTS", "HARM.SPEECH.Insult") // its own names
	f("amazon-bedrock-guardrails", "PROMPT_ATTACK", "JAILBREAK.Attempt PROMPT_INJECTION.Other")
	f("amazon-bedrock-guardrails", "NAME", "PII.Person.Name")
	f("amazon-bedrock-guardrails", "US_SOCIAL_SECURITY_NUMBER", "PII.Identifier.SSN")
	for _, risk := range []string{"high_risk", "medium_risk", "inappropriate_content"} { // a level is no category
		f("nvidia-nemo-guardrails", risk, "OTHER.NeedsReview")
	}
	f("anthropic-claude-safety", "unsafe", "OTHER.NeedsReview") // no cause is no toxicity
	f("anthropic-claude-safety", "harmful", "OTHER.NeedsReview")
	f("anthropic-claude-safety", "adult_content", "HARM.SEXUAL.Content") // sex is not violence
}

// Codes that models share and mean differently.
func TestCodes(t *testing.T) {
	_, tables := shippedTables(t)
	f := func(detector, native, want string) {
		t.Helper()
		if got, _ := tables.lookup(tables[detector], "", wire.Finding{Native: native}, false); strings.Join(got, " ") != want {
			t.Errorf("%s %s means %s, not %s", detector, native, got, want)
		}
	}
	f("llama-guard-1", "O3", "HARM.CRIME.Other")
	f("llama-guard-1", "O4", "HARM.CRIME.Weapons")
	f("llama-guard-1", "O6", "HARM.VIOLENCE.Suicide HARM.VIOLENCE.SelfHarm")
	f("llama-guard-2", "S6", "PII.Other")
	f("llama-guard-3", "S6", "OTHER.SpecializedAdvice")
	f("llama-guard-2", "S10", "HARM.VIOLENCE.Suicide HARM.VIOLENCE.SelfHarm")
	f("llama-guard-3", "S10", "HARM.SPEECH.Hate.Other")
	f("llama-guard-3", "S14", "SECURITY.CodeExecution")
	f("azure-content-safety", "DocumentAttack", "PROMPT_INJECTION.Indirect")
	f("presidio", "NRP", "PII.Person.Demographic")
}

// A row of the whole name wins, then the pattern with most letters; a * stands for a name only.
func TestPatterns(t *testing.T) {
	taxonomy, _ := shippedTables(t)
	const doc = `
detector: d
version: "1"
taxonomy: "2026.11"
maps:
  US_SSN: [PII.Identifier.SSN]
  US_*: [PII.Identifier.Other]
  '*_PASSPORT': [PII.Identifier.Passport]
  DOCUMENT_TYPE/*: [OTHER.NeedsReview]
  DOCUMENT_TYPE/HR/*: [PII.Person.Employment]
  TOXICITY: {0.3: [OTHER.LowRisk], 0.7: [HARM.SPEECH.Toxicity]}
`
	tables, err := ParseTables(mapFS(doc), taxonomy)
	if err != nil {
		t.Fatal(err)
	}
	f := func(native, raw, want string) {
		t.Helper()
		if got, _ := tables.lookup(tables["d"], "", wire.Finding{Native: native, Raw: raw}, false); strings.Join(got, " ") != want {
			t.Errorf("%s %s: got %q, want %q", native, raw, got, want)
		}
	}
	f("us_ssn", "", "PII.Identifier.SSN")
	f("US_NEW", "", "PII.Identifier.Other")
	f("US_PASSPORT", "", "PII.Identifier.Passport")
	f("DOCUMENT_TYPE/LEGAL/LAW", "", "OTHER.NeedsReview")
	f("document_type/hr/resume", "", "PII.Person.Employment")
	f("US_ my name is Jane", "", "")
	f("US_"+strings.Repeat("A", 65), "", "")
	f("BUS_NUMBER", "", "")
	f("TOXICITY", "0.1", "OTHER.Safe")
	f("TOXICITY", "0.3", "OTHER.LowRisk")
	f("TOXICITY", "0.93", "HARM.SPEECH.Toxicity")
	f("TOXICITY", "", "HARM.SPEECH.Toxicity")
	f("TOXICITY", "HIGH", "HARM.SPEECH.Toxicity")
}
