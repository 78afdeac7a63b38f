package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Limits of what a client may send.
const (
	MaxBody     = 64 << 10 // bytes of a request body
	MaxDepth    = 32       // nesting of JSON
	MaxDetector = 128      // bytes of a detector's name
	MaxTenant   = 64       // bytes of a tenant id
	MaxBatch    = 100      // items of a batch
	MaxNative   = 512      // bytes of one of a detector's labels
)

// MapRequest asks what a detector's output means in the canonical taxonomy.
type MapRequest struct {
	Detector string          `json:"detector"`           // the detector's name: presidio, openai-moderation, or one of your own
	Output   string          `json:"-"`                  // what it said, as text
	Raw      json.RawMessage `json:"output"`             // the same on the wire: a string, or a vendor's document
	Metadata json.RawMessage `json:"metadata,omitempty"` // an object; it never changes the answer
	TenantID string          `json:"tenant_id,omitempty"`
}

// MapBatchRequest is 1 to MaxBatch requests.
type MapBatchRequest struct {
	Requests []MapRequest `json:"requests"`
}

// Source says what an answer rests on, weakest first: fallback, model, table, override.
type Source string

// The sources of a label.
const (
	SourceFallback Source = "fallback" // the model was not sure; the label is OTHER.Unknown
	SourceModel    Source = "model"
	SourceTable    Source = "table"    // a versioned table for the detector, or the detector's own word for clean
	SourceOverride Source = "override" // what the tenant has decided
)

// Candidate is a label the model considered, with its calibrated probability.
type Candidate struct {
	Label      string  `json:"label"`
	Confidence float64 `json:"confidence"`
}

// Finding is one thing the detector said, and what became of it.
type Finding struct {
	Native     string      `json:"native"` // in the detector's words
	Labels     []string    `json:"labels"`
	Source     Source      `json:"source"`
	Confidence float64     `json:"confidence"`      // that the labels are right, 0 to 1
	Score      *float64    `json:"score,omitempty"` // how strongly the detector said it, 0 to 1; absent if it only named it
	Scale      string      `json:"scale,omitempty"` // what the score was made from
	Raw        string      `json:"raw,omitempty"`   // the detector's own value: a number, or a word of its scale
	Span       []Span      `json:"span,omitempty"`  // where in the content, if the detector says so
	Candidates []Candidate `json:"candidates,omitempty"`
	Model      string      `json:"model,omitempty"` // the checkpoint that was asked, if one was
	Table      string      `json:"table,omitempty"` // the table and its version whose row answered, if one did
}

// Span is a place in the content, from its first position to the one after its last, in the units that the detector
// counted in. Bytes and code points follow from one another only with the content, which the mapper does not have.
type Span struct {
	Byte  *[2]int `json:"byte,omitempty"`  // of UTF-8
	Rune  *[2]int `json:"rune,omitempty"`  // Unicode code points
	UTF16 *[2]int `json:"utf16,omitempty"` // units of UTF-16
}

// Provenance says where an answer comes from.
type Provenance struct {
	Vendor   string    `json:"vendor"` // the format of the output, text if it is of no vendor's
	Detector string    `json:"detector"`
	TenantID string    `json:"tenant_id"`
	Model    string    `json:"model,omitempty"` // the model that the vendor's document names
	TS       string    `json:"ts"`              // RFC 3339, UTC
	Findings []Finding `json:"findings"`
	// ModelOnly says that the model alone was asked, and no table, override or cache.
	ModelOnly bool `json:"model_only,omitempty"`
}

// View is how a caller wants to be answered. What is decided and recorded is the same for all, but for ModelOnly.
type View struct {
	ModelOnly bool   // no table, override or cache is asked
	Controls  bool   // with the controls that the labels concern
	Taxonomy  string // of the labels, if it is an older one
}

// Query is what asks for the view, to put behind a path; empty if that is nothing.
func (v View) Query() string {
	q := url.Values{}
	if v.ModelOnly {
		q.Set("source", "model")
	}
	if v.Controls {
		q.Set("controls", "true")
	}
	if v.Taxonomy != "" {
		q.Set("taxonomy", v.Taxonomy)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// VersionInfo pins what the answer was made with.
type VersionInfo struct {
	Taxonomy   string `json:"taxonomy"`
	Frameworks string `json:"frameworks"`          // "none" until frameworks are loaded
	Model      string `json:"model"`               // the checkpoint that was asked, or would be; several, if a canary took a part
	Table      string `json:"table,omitempty"`     // detector table and version, if one was used
	Overrides  string `json:"overrides,omitempty"` // when the tenant's overrides were changed last, if there ever were any
}

// Mapping is the answer to a MapRequest.
type Mapping struct {
	Taxonomy      []string           `json:"taxonomy"`   // at least one label, in the taxonomy's order
	Scores        map[string]float64 `json:"scores"`     // label to the detector's own strength, 0 to 1; 1 if it only named it
	Confidence    float64            `json:"confidence"` // calibrated probability that the labels are right: the least of the findings'
	Source        Source             `json:"source"`     // the weakest of the findings'
	Controls      []string           `json:"controls"`   // empty until frameworks are loaded
	Candidates    []Candidate        `json:"candidates,omitempty"`
	Notes         string             `json:"notes"`
	Provenance    Provenance         `json:"provenance"`
	PolicyContext struct{}           `json:"policy_context"`
	VersionInfo   VersionInfo        `json:"version_info"`
}

// BatchResult is one item's answer or its error.
type BatchResult struct {
	Mapping *Mapping `json:"mapping,omitempty"`
	Error   *Error   `json:"error,omitempty"`
}

// MapBatchResponse has one result for each request, in their order.
type MapBatchResponse struct {
	Results []BatchResult `json:"results"`
}

// Label is one entry of the taxonomy.
type Label struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	Since string `json:"since"` // the first version that has it
}

// TaxonomyResponse is the whole taxonomy.
type TaxonomyResponse struct {
	Version        string   `json:"version"`
	CompatibleWith []string `json:"compatible_with"`
	Labels         []Label  `json:"labels"`
}

// ParseMapRequest reads a request body. tenant is the caller's; the body may say it too, and no other.
func ParseMapRequest(body []byte, tenant string) (req MapRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	return req, req.check(tenant)
}

// ParseMapBatchRequest reads a batch's body. An item that is wrong in itself has its error in errs.
func ParseMapBatchRequest(body []byte, tenant string) (req MapBatchRequest, errs []error, err error) {
	if err := decode(body, &req); err != nil {
		return req, nil, err
	}
	if n := len(req.Requests); n < 1 || n > MaxBatch {
		return req, nil, Errorf(InvalidRequest, "requests has %d items; send 1 to %d", n, MaxBatch)
	}
	for i := range req.Requests {
		errs = append(errs, req.Requests[i].check(tenant))
	}
	return req, errs, nil
}

func (r *MapRequest) check(tenant string) error {
	if r.TenantID == "" {
		r.TenantID = tenant
	}
	switch {
	case r.Detector == "" || len(r.Detector) > MaxDetector:
		return Errorf(InvalidRequest, "detector must have 1 to %d bytes", MaxDetector)
	case r.TenantID != tenant:
		return Errorf(Forbidden, "tenant_id is not the tenant of this key; leave it out, or send the key's")
	case len(r.Metadata) > 0 && r.Metadata[0] != '{' && string(r.Metadata) != "null":
		return Errorf(InvalidRequest, "metadata must be an object")
	}
	raw := bytes.TrimSpace(r.Raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return Errorf(InvalidRequest, "output is missing; send what the detector said")
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &r.Output); err != nil {
			return Errorf(InvalidRequest, "output is not a valid string")
		}
	case raw[0] == '{' || raw[0] == '[':
		r.Output = string(raw)
	default:
		return Errorf(InvalidRequest, "output must be a string, or a vendor's JSON object or array")
	}
	if strings.TrimSpace(r.Output) == "" {
		return Errorf(InvalidRequest, "output is empty; send what the detector said")
	}
	for _, s := range []string{r.Detector, r.Output} {
		if strings.IndexByte(s, 0) >= 0 {
			return Errorf(InvalidRequest, "a NUL byte is in detector or output; remove it")
		}
	}
	return nil
}

// decode reads strict JSON: valid UTF-8, bounded depth, no unknown field, nothing after it.
func decode(body []byte, into any) error { return decodeAtMost(MaxBody, body, into) }

func decodeAtMost(most int, body []byte, into any) error {
	if err := sound(most, body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badJSON(err)
	}
	if len(bytes.TrimLeft(body[d.InputOffset():], " \t\r\n")) > 0 {
		return Errorf(InvalidRequest, "there is something after the JSON object")
	}
	return nil
}

// sound checks what a body must be before anything reads it as JSON.
func sound(most int, body []byte) error {
	switch {
	case len(body) == 0:
		return Errorf(InvalidRequest, "the body is empty; send a JSON object")
	case len(body) > most:
		return Errorf(PayloadTooLarge, "the body has %d bytes; at most %d are taken", len(body), most)
	case !utf8.Valid(body):
		return Errorf(InvalidRequest, "the body is not valid UTF-8")
	}
	return CheckDepth(body)
}

// badJSON says what is wrong without repeating what was sent: encoding/json's messages quote it.
func badJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Errorf(InvalidRequest, "the body is not valid JSON; the mistake is at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return Errorf(InvalidRequest, "a field has the wrong type; %s is wanted, at byte %d", kind.Type, kind.Offset)
	case strings.Contains(err.Error(), "unknown field"):
		return Errorf(InvalidRequest, "the body has a field that is not known; api/openapi.yaml has those that are")
	}
	return Errorf(InvalidRequest, "the body ends before the JSON does")
}

// CheckDepth refuses JSON that nests deeper than MaxDepth, before anything recursive reads it.
func CheckDepth(doc []byte) error {
	depth, text := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return Errorf(InvalidRequest, "the JSON nests deeper than %d", MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
