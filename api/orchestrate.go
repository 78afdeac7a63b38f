package api

import (
	"slices"
	"time"
)

// Limits of an orchestration.
const (
	MaxContent     = 50_000          // code points of content that is text
	MaxImage       = 4 << 20         // bytes of an image, in base64
	MaxDeadline    = 5 * time.Second // of a request that is answered at once
	MaxAsync       = 30 * time.Second
	MaxOrchestrate = 16 // requests of a batch
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
