package mapper

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
)

// Every mapping is recorded before it is answered, each item of a batch too; without a record there is no answer.
func TestRecorded(t *testing.T) {
	f := serve(t, scripted{"full": ErrOverloaded})
	f.do(t, "POST", "/api/v1/map", body("azure", `{"categoriesAnalysis":[{"category":"Hate","severity":4}]}`), nil, "X-Request-ID", "r1")
	f.do(t, "POST", "/api/v1/map/batch", `{"requests":[`+body("x", `"full"`)+`,`+body("an odd name", `"HATE_SPEECH"`)+`]}`, nil, "X-Request-ID", "r2")
	if len(f.events.all) != 2 {
		t.Fatalf("%+v", f.events.all)
	}
	a, b := f.events.all[0], f.events.all[1]
	if a.RequestID != "r1" || a.Detector != "azure" || a.Source != api.SourceTable || a.Findings[0].Native != "Hate" || a.TenantID != "t1" || a.KeyID != "k1" || a.Versions.Table == "" || *a.Findings[0].Score == 0 {
		t.Errorf("%+v", a)
	}
	if b.RequestID != "r2" || b.Item != 1 || !strings.HasPrefix(b.Detector, "hmac:") || b.Findings[0].Native != "HATE_SPEECH" {
		t.Errorf("%+v", b)
	}
	f.events.fail = api.Errorf(api.Unavailable, "the disk is full")
	for path, b := range map[string]string{"/api/v1/map": body("x", `"a"`), "/api/v1/map/batch": `{"requests":[` + body("x", `"a"`) + `]}`} {
		if res := f.do(t, "POST", path, b, nil); res.StatusCode() != 503 {
			t.Errorf("%s without a record: %d", path, res.StatusCode())
		}
	}
}

// decided is a tenant's override of one label.
type decided struct{ detector, native, label string }

func (d decided) Lookup(_ *access.Tenant, detector, native string) []string {
	if detector == d.detector && strings.EqualFold(native, d.native) {
		return []string{d.label}
	}
	return nil
}

func (decided) Version(*access.Tenant) string { return "today" }

// proposed keeps what was proposed.
type proposed []string

func (p *proposed) Propose(_ *access.Tenant, detector string, f api.Finding, known bool) {
	*p = append(*p, fmt.Sprint(detector, " ", f.Native, " ", f.Labels[0], " ", known))
}

// The order of what answers, what goes to review, and whose threshold counts.
func TestResolution(t *testing.T) {
	k := knowledge(t)
	o := DefaultOptions()
	var queue proposed
	o.Overrides, o.Reviewer = decided{"presidio", "URL", "OTHER.Spam"}, &queue
	o.Thresholds = map[string]float64{"mine": 0.85, "*/BIAS.Other": 0.2}
	s := New(scripted{"rude": sure("HARM.SPEECH.Insult", 0.8), "odd": sure("BIAS.Other", 0.3)}, k, o, prometheus.NewRegistry())
	check := func(tenant *access.Tenant, detector, output, want string, modelOnly bool) {
		t.Helper()
		m, err := s.Map(context.Background(), tenant, api.MapRequest{Detector: detector, Output: output, TenantID: tenant.ID}, modelOnly)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.Taxonomy, " ", m.Source, " ", m.VersionInfo.Overrides); got != want {
			t.Errorf("%s %s: %s, want %s", detector, output, got, want)
		}
	}
	plain := &access.Tenant{ID: "t"}
	strict := &access.Tenant{ID: "t", Settings: access.Settings{Thresholds: map[string]float64{"*/HARM.SPEECH.Insult": 0.81}}}
	check(plain, "Presidio-Analyzer", "url", "[OTHER.Spam] override today", false)
	check(plain, "presidio", "PERSON", "[PII.Person.Name] table today", false)
	check(plain, "x", "rude", "[HARM.SPEECH.Insult] model today", false)
	check(strict, "x", "rude", "[OTHER.Unknown] fallback today", false)
	check(plain, "mine", "rude", "[OTHER.Unknown] fallback today", false)
	check(plain, "mine", "odd", "[BIAS.Other] model today", false)
	check(plain, "presidio", "rude", "[HARM.SPEECH.Insult] model today", false)
	check(plain, "x", "rude", "[HARM.SPEECH.Insult] model today", true)
	check(plain, "x", "the user is very rude to us", "[HARM.SPEECH.Toxicity] model today", false)
	want := "x rude HARM.SPEECH.Insult false|x rude OTHER.Unknown false|mine rude OTHER.Unknown false|mine odd BIAS.Other false|presidio rude HARM.SPEECH.Insult true"
	if got := strings.Join(queue, "|"); got != want {
		t.Errorf("proposed %s", got)
	}
}

// Controls and the older taxonomy are views of an answer, asked for; what is recorded is the same.
func TestViews(t *testing.T) {
	f := serve(t, scripted{"odd": sure("BIAS.Age", 0.3)})
	var m api.Mapping
	f.do(t, "POST", "/api/v1/map?controls=true", body("presidio", `"US_DRIVER_LICENSE"`), &m)
	if len(m.Controls) < 5 || !strings.Contains(strings.Join(m.Controls, " "), "GDPR:") || m.VersionInfo.Frameworks == "" || m.VersionInfo.Taxonomy != "2026.11" {
		t.Errorf("%+v", m)
	}
	m = api.Mapping{}
	f.do(t, "POST", "/api/v1/map?taxonomy=2025.09", body("presidio", `"US_DRIVER_LICENSE|URL"`), &m)
	if got := fmt.Sprint(m.Taxonomy, m.Scores, m.VersionInfo.Taxonomy, m.Provenance.Findings[0].Labels, len(m.Controls)); got != "[PII.Contact.URL PII.Identifier.Other] map[PII.Contact.URL:1 PII.Identifier.Other:1]2025.09[PII.Identifier.Other] 0" || m.Notes == "" {
		t.Errorf("%s %q", got, m.Notes)
	}
	f.do(t, "POST", "/api/v1/map?taxonomy=2025.09", body("x", `"odd"`), &m)
	if len(m.Candidates) == 0 || m.Candidates[len(m.Candidates)-1].Label != "BIAS.Other" {
		t.Errorf("%+v", m.Candidates)
	}
	var b api.MapBatchResponse
	f.do(t, "POST", "/api/v1/map/batch?taxonomy=2025.09&controls=true", `{"requests":[`+body("presidio", `"US_DRIVER_LICENSE"`)+`]}`, &b)
	if m := b.Results[0].Mapping; m.Taxonomy[0] != "PII.Identifier.Other" || len(m.Controls) < 5 {
		t.Errorf("%+v", m)
	}
	for _, e := range f.events.all[:2] {
		if !strings.Contains(fmt.Sprint(e.Taxonomy), "PII.Identifier.DriverLicense") || e.Versions.Taxonomy != "2026.11" {
			t.Errorf("recorded %+v", e)
		}
	}
	var list struct {
		Version    string
		Frameworks []struct{ ID string }
		Controls   []struct{ Framework string }
		None       []struct{ Why string }
	}
	f.do(t, "GET", "/api/v1/frameworks", "", &list)
	f.do(t, "GET", "/api/v1/controls?label=PII.Identifier.SSN", "", &list)
	if len(list.Frameworks) != 12 || len(list.Controls) == 0 || list.Version != m.VersionInfo.Frameworks {
		t.Errorf("%+v", list)
	}
	for _, path := range []string{"/api/v1/controls?label=x", "/api/v1/controls"} {
		if res := f.do(t, "GET", path, "", nil); res.StatusCode() != 400 {
			t.Errorf("%s: %d", path, res.StatusCode())
		}
	}
	for _, query := range []string{"taxonomy=2024.01", "controls=1", "color=red"} {
		if res := f.do(t, "POST", "/api/v1/map?"+query, body("x", `"a"`), nil); res.StatusCode() != 400 {
			t.Errorf("%s: %d", query, res.StatusCode())
		}
	}
}

// Which native labels are kept in words.
func TestVocabulary(t *testing.T) {
	k := knowledge(t)
	v := newVocabulary(k.Taxonomy, k.Tables)
	for native, want := range map[string]bool{
		"HATE_SPEECH": true, "hate/threatening": true, "S10": true, "credit card number": true, "emailAddress": true,
		"john.doe@example.com": false, "4111 1111 1111 1111": false, "Jane Doe": false, "user asks how to make a weapon": false, "": false, "5417": false, "phone\u200bnumber": false,
	} {
		if v.spells(native) != want {
			t.Errorf("%q: %v", native, !want)
		}
	}
}

// What a view's Query asks for is that view.
func TestViewQuery(t *testing.T) {
	k, err := LoadKnowledge()
	if err != nil {
		t.Fatal(err)
	}
	s := New(scripted{}, k, DefaultOptions(), prometheus.NewRegistry())
	for i := range 8 {
		want := api.View{ModelOnly: i&1 != 0, Controls: i&2 != 0}
		if i&4 != 0 {
			want.Taxonomy = k.Migration.To
		}
		var rc fasthttp.RequestCtx
		rc.Request.SetRequestURI("/api/v1/map" + want.Query())
		if got, err := s.View(&rc); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v", want.Query(), got, err)
		}
	}
}
