package api

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The schemas have the fields of the Go types, and the same ones are required.
func TestOpenAPI(t *testing.T) {
	compare(t, "openapi-orchestration.yaml", ContentsRequest{}, DetectorParams{}, Detection{}, Evidence{}, DetectorInfo{}, DetectorsResponse{},
		HealthInfo{}, Registered{}, VersionsResponse{}, PolicyInfo{}, PoliciesResponse{}, PolicyReport{}, ActivateRequest{},
		Receipt{}, ReceiptContent{}, ReceiptPolicy{}, ReceiptVersions{}, ReceiptsResponse{}, ReceiptKey{}, Envelope{}, EnvelopeSignature{},
		ReplayRequest{}, ReplayResponse{}, ReplayJudgment{}, ReplayRangeRequest{}, ReplayRangeResponse{}, ActionChange{}, BlockChange{},
		Task{}, TaskWebhook{}, TasksResponse{}, TaskEvent{}, TaskEnd{}, WebhookSecret{})
	compare(t, "openapi-analysis.yaml", Summary{})
	compare(t, "openapi.yaml",
		MapRequest{}, MapBatchRequest{}, MapBatchResponse{}, BatchResult{}, Mapping{}, Candidate{}, Provenance{}, Finding{}, Span{}, VersionInfo{}, TaxonomyResponse{}, Label{}, Error{},
		EventsResponse{}, Event{}, EventFinding{}, Key{}, KeysResponse{}, NewKeyRequest{}, RotateKeyRequest{}, NewKeyResponse{},
		Proposal{}, ProposalsResponse{}, DecideRequest{}, DecideResponse{}, Override{}, OverridesResponse{}, OverrideRequest{}, OverrideResponse{}, Decision{}, DecisionsResponse{}, Job{}, JobsResponse{}, JobLine{},
		ChatRequest{}, ChatMessage{}, ChatCompletion{}, ChatChoice{}, ChatReply{}, ChatUsage{}, ModelsResponse{}, ChatModel{}, ChatError{},
	)
}

func compare(t *testing.T, file string, types ...any) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, v := range types {
		kind := reflect.TypeOf(v)
		schema := doc.Components.Schemas[kind.Name()]
		if schema == nil {
			t.Errorf("no schema %s", kind.Name())
			continue
		}
		var want, required []string
		for i := range kind.NumField() {
			name, options, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			want = append(want, name)
			if options != "omitempty" {
				required = append(required, name)
			}
		}
		var got []string
		for name := range schema.Value.Properties {
			got = append(got, name)
		}
		for _, list := range [][]string{got, want, required, schema.Value.Required} {
			slices.Sort(list)
		}
		if !slices.Equal(got, want) || !slices.Equal(required, schema.Value.Required) {
			t.Errorf("%s: schema has %v, requires %v; Go has %v, requires %v", kind.Name(), got, schema.Value.Required, want, required)
		}
	}
}

func FuzzParseMapRequest(f *testing.F) {
	for _, s := range []string{`{"detector":"x","output":"a","tenant_id":"t"}`, `{"detector":"x","output":[{"entity_type":"URL"}],"tenant_id":"t"}`, "{", "[[", `{"output":"\ud800"}`, "\xff"} {
		f.Add([]byte(s), "t")
	}
	f.Fuzz(func(t *testing.T, body []byte, tenant string) {
		req, err := ParseMapRequest(body, tenant)
		if err == nil && (req.Detector == "" || req.TenantID == "" || strings.TrimSpace(req.Output) == "" || strings.ContainsRune(req.Output+req.Detector+req.TenantID, 0)) {
			t.Errorf("taken: %+v", req)
		}
		if _, errs, err := ParseMapBatchRequest(body, tenant); err == nil && (len(errs) < 1 || len(errs) > MaxBatch) {
			t.Errorf("a batch of %d was taken", len(errs))
		}
	})
}
