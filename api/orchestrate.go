package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of an orchestration.
const (
	MaxContent         = 50_000           // code points of content that is text
	MaxImage           = 4 << 20          // bytes of an image, in base64
	MaxOrchestrateBody = 6 << 20          // bytes of a request or a batch
	MaxDeadline        = 5 * time.Second  // of a request that is answered at once
	MaxAsync           = 30 * time.Second // of one that is not
	MaxChosen          = 50               // detectors that a request names
)

// ContentType says what content is.
type ContentType string

// The content types.
const (
	ContentText     ContentType = "text"
	ContentCode     ContentType = "code"
	ContentDocument ContentType = "document" // plain text, Markdown or HTML
	ContentImage    ContentType = "image"    // in base64
)

// DetectorStatus says what became of one detector in one request.
type DetectorStatus string

// The statuses. Whether a detector found something is not among them: StatusOK is an answer, clean or not.
const (
	StatusOK          DetectorStatus = "ok"
	StatusError       DetectorStatus = "error"
	StatusTimeout     DetectorStatus = "timeout"
	StatusCircuitOpen DetectorStatus = "circuit_open"
	StatusRateLimited DetectorStatus = "rate_limited"
	StatusBusy        DetectorStatus = "busy"              // as many requests as it may have are with it already
	StatusSkipped     DetectorStatus = "skipped_by_policy" // the policy, or the caller where it may, left it out
	StatusUnsupported DetectorStatus = "unsupported_input" // it does not take this type of content
	StatusBudget      DetectorStatus = "budget_exhausted"  // the request's deadline left it no time
	StatusCancelled   DetectorStatus = "cancelled"         // the decision was made without it
)

// Action is what to do with content, or with what has a label.
type Action string

// The actions, mildest first.
const (
	ActionAllow      Action = "allow"
	ActionFlag       Action = "flag"
	ActionUnverified Action = "unverified" // nothing worse was found, and too little was checked to say more
	ActionRedact     Action = "redact"
	ActionReview     Action = "review"
	ActionBlock      Action = "block"
)

// Actions are all actions, mildest first.
var Actions = []Action{ActionAllow, ActionFlag, ActionUnverified, ActionRedact, ActionReview, ActionBlock}

// Stricter returns the stricter of two actions.
func Stricter(a, b Action) Action {
	if slices.Index(Actions, b) > slices.Index(Actions, a) {
		return b
	}
	return a
}

// Outcome says how much of the policy's detection took place.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "SUCCESS" // every detector that counts answered, and labels are mapped
	OutcomePartial Outcome = "PARTIAL"
	OutcomeFailure Outcome = "FAILURE" // none did
)

// The ways to be answered.
const (
	ModeAuto  = "auto"  // at once, or in the background where that is expected to take more than 1.5 seconds
	ModeSync  = "sync"  // at once
	ModeAsync = "async" // in the background
)

// OrchestrateRequest asks for content to be looked at under the tenant's policy.
type OrchestrateRequest struct {
	Content     string          `json:"content"`
	ContentType ContentType     `json:"content_type,omitempty"`       // text where it does not say
	TenantID    string          `json:"tenant_id,omitempty"`          // the key's, or left out
	Policy      string          `json:"policy_bundle,omitempty"`      // a policy of the tenant that is applied beside its floor
	Required    []string        `json:"required_detectors,omitempty"` // that must answer too, whatever the policy says
	Excluded    []string        `json:"excluded_detectors,omitempty"` // that need not, where the policy lets them be left out
	Mode        string          `json:"processing_mode,omitempty"`    // ModeAuto where it does not say
	Priority    string          `json:"priority,omitempty"`           // low, normal, high, critical: how long it may take, and critical uses no cache; high is as normal
	Environment string          `json:"environment,omitempty"`        // dev, stage or prod; kept in the receipt
	TimeoutMS   int             `json:"timeout_ms,omitempty"`         // less than the policy's deadline, if not 0
	Redact      bool            `json:"redact,omitempty"`             // whether to return the content without what the policy redacts, reviews or blocks
	Webhook     string          `json:"webhook_url,omitempty"`        // told when it is done in the background
	Metadata    json.RawMessage `json:"metadata,omitempty"`           // an object of the caller's own; it changes nothing and is not kept
}

// OrchestrateBatchRequest is 1 to MaxBatch requests, answered at once.
type OrchestrateBatchRequest struct {
	Requests []OrchestrateRequest `json:"requests"`
}

// ParseOrchestrateRequest reads a request's body. tenant is the caller's.
func ParseOrchestrateRequest(body []byte, tenant string) (req OrchestrateRequest, err error) {
	if err := decodeAtMost(MaxOrchestrateBody, body, &req); err != nil {
		return req, err
	}
	return req, req.check(tenant)
}

// ParseOrchestrateBatchRequest reads a batch's body. An item that is wrong in itself has its error in errs.
func ParseOrchestrateBatchRequest(body []byte, tenant string) (req OrchestrateBatchRequest, errs []error, err error) {
	if err := decodeAtMost(MaxOrchestrateBody, body, &req); err != nil {
		return req, nil, err
	}
	if n := len(req.Requests); n < 1 || n > MaxBatch {
		return req, nil, Errorf(InvalidRequest, "requests has %d items; send 1 to %d", n, MaxBatch)
	}
	for i := range req.Requests {
		r := &req.Requests[i]
		err := r.check(tenant)
		if err == nil && r.Mode == ModeAsync {
			err = Errorf(InvalidRequest, "a batch is answered at once; send what is to be done in the background by itself")
		}
		errs = append(errs, err)
		r.Mode = ModeSync
	}
	return req, errs, nil
}

func (r *OrchestrateRequest) check(tenant string) error {
	if r.TenantID == "" {
		r.TenantID = tenant
	}
	r.ContentType, r.Mode, r.Priority = cmp.Or(r.ContentType, ContentText), cmp.Or(r.Mode, ModeAuto), cmp.Or(r.Priority, "normal")
	switch {
	case r.TenantID != tenant:
		return Errorf(Forbidden, "tenant_id is not the tenant of this key; leave it out, or send the key's")
	case !slices.Contains([]ContentType{ContentText, ContentCode, ContentDocument, ContentImage}, r.ContentType):
		return Errorf(InvalidRequest, "content_type must be text, code, document or image")
	case !slices.Contains([]string{ModeAuto, ModeSync, ModeAsync}, r.Mode):
		return Errorf(InvalidRequest, "processing_mode must be auto, sync or async")
	case !slices.Contains([]string{"low", "normal", "high", "critical"}, r.Priority):
		return Errorf(InvalidRequest, "priority must be low, normal, high or critical")
	case !slices.Contains([]string{"", "dev", "stage", "prod"}, r.Environment):
		return Errorf(InvalidRequest, "environment must be dev, stage or prod")
	case r.TimeoutMS < 0 || r.TimeoutMS > int(MaxAsync.Milliseconds()):
		return Errorf(InvalidRequest, "timeout_ms must be 0 to %d", MaxAsync.Milliseconds())
	case len(r.Policy) > 64:
		return Errorf(InvalidRequest, "policy_bundle is longer than any policy's name")
	case len(r.Required)+len(r.Excluded) > MaxChosen:
		return Errorf(InvalidRequest, "required_detectors and excluded_detectors may name %d detectors", MaxChosen)
	case len(r.Webhook) > 2048 || r.Webhook != "" && r.Mode == ModeSync:
		return Errorf(InvalidRequest, "webhook_url must be a URL of at most 2048 bytes, for a request that is done in the background")
	case len(r.Metadata) > 0 && r.Metadata[0] != '{' && string(r.Metadata) != "null":
		return Errorf(InvalidRequest, "metadata must be an object")
	}
	return r.checkContent()
}

func (r *OrchestrateRequest) checkContent() error {
	switch {
	case r.Content == "":
		return Errorf(InvalidRequest, "content is missing; send what is to be looked at")
	case r.ContentType == ContentImage:
		if _, err := base64.StdEncoding.DecodeString(r.Content); err != nil || len(r.Content) > MaxImage {
			return Errorf(InvalidRequest, "an image is sent in base64, at most %d bytes of it", MaxImage)
		}
		if r.Redact {
			return Errorf(InvalidRequest, "an image cannot be redacted; leave redact out")
		}
	case utf8.RuneCountInString(r.Content) > MaxContent:
		return Errorf(PayloadTooLarge, "content has more than %d characters; send it in parts", MaxContent)
	}
	return nil
}
