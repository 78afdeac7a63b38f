package mapper

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// The vendors that an answer may name are those that wire reads.
func TestVendors(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, v := range doc.Components.Schemas["Provenance"].Value.Properties["vendor"].Value.Enum {
		documented = append(documented, v.(string))
	}
	read := wire.Vendors()
	slices.Sort(read)
	slices.Sort(documented)
	if !slices.Equal(read, documented) {
		t.Errorf("wire reads %v, the description has %v", read, documented)
	}
}

// Findings come out with the vendor's value and places, and fit the description.
func TestFindings(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, scripted{"toxic": errors.New("asked for what is less likely than not"), "obscene": sure("HARM.SPEECH.Obscenity", 0.9)})
	post := func(path, detector, output string) api.Mapping {
		t.Helper()
		var v any
		var m api.Mapping
		f.do(t, "POST", path, body(detector, output), &v)
		if err := doc.Components.Schemas["Mapping"].Value.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", output, err)
		}
		f.do(t, "POST", path, body(detector, output), &m)
		return m
	}
	const path, ask = "/api/v1/map", "/api/v1/map?source=model"
	m := post(path, "x", `{"result":{"findings":[{"quote":"q","infoType":{"name":"EMAIL_ADDRESS"},"likelihood":"LIKELY","location":{"byteRange":{"end":"16"},"codepointRange":{"end":"14"}}}]}}`)
	got := m.Provenance.Findings[0]
	if m.Provenance.Vendor != "google-dlp" || got.Raw != "LIKELY" || *got.Score != 0.75 || got.Scale == "" || len(got.Span) != 1 || got.Span[0].Byte[1] != 16 || got.Span[0].Rune[1] != 14 || got.Span[0].UTF16 != nil {
		t.Errorf("%+v", got)
	}
	const jigsaw = `[[{"label":"toxic","score":0.02},{"label":"obscene","score":0.9}]]`
	for _, p := range []string{path, ask} {
		m = post(p, "x", jigsaw)
		if strings.Join(m.Taxonomy, " ") != "HARM.SPEECH.Obscenity" || m.Scores["HARM.SPEECH.Obscenity"] != 0.9 {
			t.Errorf("%s: %+v", p, m)
		}
	}
	m = post(path, "x", `[[{"label":"toxic","score":0.02}]]`)
	if strings.Join(m.Taxonomy, " ") != "OTHER.Safe" || m.Scores["OTHER.Safe"] != 1 || m.Provenance.Findings[0].Raw != "0.02" {
		t.Errorf("%+v", m)
	}
	m = post(path, "x", `{"sanitizationResult":{"filterMatchState":"MATCH_FOUND","invocationResult":"PARTIAL","filterResults":{"sdp":{"sdpFilterResult":{"inspectResult":{"matchState":"MATCH_FOUND","findings":[{"infoType":"US_SOCIAL_SECURITY_NUMBER"}]}}}}}}`)
	if strings.Join(m.Taxonomy, " ") != "PII.Identifier.SSN OTHER.ModelError" {
		t.Errorf("%+v", m)
	}
}

// A tenant's meaning of a label is not given to a label that the detector says is not there.
func TestOverrideOfAbsent(t *testing.T) {
	s := &Service{opts: Options{Overrides: decided{"d", "toxic", "OTHER.Spam"}}}
	for output, want := range map[string]int{`[{"label":"toxic","score":0.9}]`: 1, `[{"label":"toxic","score":0.1}]`: 0} {
		out, err := wire.Parse("d", output)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.override(question{name: "d"}, out.Findings[0]); len(got) != want {
			t.Errorf("%s: %v", output, got)
		}
	}
}
