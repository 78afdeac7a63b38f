package wire

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// azureKeys are the members by which an answer of Azure AI Content Safety is recognised.
var azureKeys = []string{
	"categoriesAnalysis", "blocklistsMatch", "userPromptAnalysis", "documentsAnalysis", "protectedMaterialAnalysis",
	"ungroundedDetected", "acsVerdict",
}

func isAzure(d document) bool { return !d.list && d.hasOne(azureKeys...) }

// azureCategories are the categories of text:analyze.
var azureCategories = []string{"Hate", "SelfHarm", "Sexual", "Violence"}

// The labels we give to Azure's answers of yes or no. Words of the content, of a blocklist and of a policy's
// reason stay where they are.
const (
	azureBlocklist  = "Blocklist"
	azureUser       = "UserPromptAttack"
	azureDocument   = "DocumentAttack"
	azureProtected  = "ProtectedMaterial"
	azureUngrounded = "Ungrounded"
	azureBlocked    = "Blocked" // unified moderation denies and names no harm
)

const (
	azureMost  = 7 // the highest severity; answers with four levels use 0, 2, 4 and 6
	azureScale = "severity 0 to 7"
)

type azureAttack struct {
	Detected *bool `json:"attackDetected"`
}

// azureVerdict is unified moderation's (2026-10-15-preview). The policy names the harms.
type azureVerdict struct {
	Decision string
	Harms    map[string]*struct {
		Detected *bool
		Severity string
	} `json:"harmResults"`
}

// azureAnswer has the members of all of Azure's answers.
type azureAnswer struct {
	Categories []struct {
		Category string
		Severity *float64
	} `json:"categoriesAnalysis"`
	Blocklists []struct{}                `json:"blocklistsMatch"`
	User       *azureAttack              `json:"userPromptAnalysis"`
	Documents  []azureAttack             `json:"documentsAnalysis"`
	Protected  *struct{ Detected *bool } `json:"protectedMaterialAnalysis"`
	Ungrounded *bool                     `json:"ungroundedDetected"`
	Percentage *float64                  `json:"ungroundedPercentage"`
	Details    []azureDetail             `json:"ungroundedDetails"`
	Verdict    *azureVerdict             `json:"acsVerdict"`
}

// parseAzure reads the answers of text:analyze, text:shieldPrompt, text:detectProtectedMaterial,
// text:detectGroundedness (2024-09-01) and unified moderation. Severity 0 means that there is nothing; a verdict
// that is missing does not.
func parseAzure(_, output string) (Output, error) {
	var doc azureAnswer
	if err := json.Unmarshal([]byte(output), &doc); err != nil {
		return Output{}, ErrShape
	}
	out := Output{Vendor: "azure", Table: "azure-content-safety"}
	for _, c := range doc.Categories {
		switch {
		case c.Severity == nil:
			return Output{}, ErrShape
		case *c.Severity > 0:
			out.add(azureSeverity(c.Category, *c.Severity))
		}
	}
	add := func(there bool, name string) {
		if there {
			out.add(yes(name))
		}
	}
	add(len(doc.Blocklists) > 0, azureBlocklist)
	attacks := doc.Documents
	if doc.User != nil {
		attacks = append(attacks, *doc.User)
		add(isTrue(doc.User.Detected), azureUser)
	}
	add(slices.ContainsFunc(doc.Documents, func(a azureAttack) bool { return isTrue(a.Detected) }), azureDocument)
	if slices.ContainsFunc(attacks, func(a azureAttack) bool { return a.Detected == nil }) {
		return Output{}, ErrShape
	}
	if doc.Protected != nil {
		if doc.Protected.Detected == nil {
			return Output{}, ErrShape
		}
		add(*doc.Protected.Detected, azureProtected)
	}
	if isTrue(doc.Ungrounded) {
		f := scored(azureUngrounded, doc.Percentage, "share of the text")
		for _, d := range doc.Details[:min(len(doc.Details), maxSpans)] {
			f.Spans = append(f.Spans, d.spans()...)
		}
		out.add(f)
	}
	if doc.Verdict != nil {
		harms, err := doc.Verdict.findings()
		if err != nil {
			return Output{}, err
		}
		out.Findings = append(out.Findings, harms...)
	}
	return out, named(out.Findings)
}

// azureWords are the severities of unified moderation that the service's own model gives; a policy may have others.
var azureWords = map[string]float64{"low": 1. / 3, "medium": 2. / 3, "high": 1}

func (v *azureVerdict) findings() (out []Finding, err error) {
	if v.Decision == "" {
		return nil, ErrShape
	}
	for _, name := range slices.Sorted(maps.Keys(v.Harms)) {
		harm := v.Harms[name]
		switch {
		case harm == nil || harm.Detected == nil:
			return nil, ErrShape
		case !*harm.Detected:
			continue
		}
		out = append(out, worded(name, strings.ToLower(harm.Severity), azureWords, "severity low to high"))
	}
	if v.Decision == "deny" && len(out) == 0 {
		out = []Finding{{Native: azureBlocked}}
	}
	return out, nil
}

// azureLevel reads a category with its severity as adapters join them: hate_4, SelfHarm_0.
func azureLevel(part string) (Finding, bool) {
	i := strings.LastIndexByte(part, '_')
	if i < 1 || len(part) != i+2 || part[i+1] < '0' || part[i+1] > '0'+azureMost {
		return Finding{}, false
	}
	for _, name := range azureCategories {
		switch {
		case !strings.EqualFold(name, strings.ReplaceAll(part[:i], "_", "")):
		case part[i+1] == '0':
			return Finding{Native: part, Clean: true}, true
		default:
			level := float64(part[i+1] - '0')
			return azureSeverity(name, level), true
		}
	}
	return Finding{}, false
}

// azureSeverity is a category with a severity above 0.
func azureSeverity(category string, severity float64) Finding {
	return Finding{Native: category, Score: clamp(&severity, azureMost), Scale: azureScale, Raw: number(severity)}
}

// azureUnits is a position in the three units that Azure counts in.
type azureUnits struct{ UTF8, UTF16, CodePoint offset }

// azureDetail is one place of a text that nothing grounds.
type azureDetail struct{ Offset, Length azureUnits }

func (d azureDetail) spans() []Span {
	at, n := d.Offset, d.Length
	return spans(Span{
		Byte: pair(at.UTF8, at.UTF8+n.UTF8), Rune: pair(at.CodePoint, at.CodePoint+n.CodePoint), UTF16: pair(at.UTF16, at.UTF16+n.UTF16),
	})
}
