package api

import "time"

// Limits of reviewing.
const (
	MaxProposals = 200 // of a page, and of one bulk decision
	MaxLabels    = 8   // of an override
)

// Proposal is the model's answer for a label that no table knows, waiting for a person's decision.
type Proposal struct {
	ID         string      `json:"id"`
	Detector   string      `json:"detector"`
	Native     string      `json:"native"` // the detector's label
	Label      string      `json:"label"`  // the model's answer; OTHER.Unknown if it was not sure
	Confidence float64     `json:"confidence"`
	Candidates []Candidate `json:"candidates"`
	Model      string      `json:"model"`
	Seen       int64       `json:"seen"` // how often
	FirstAt    time.Time   `json:"first_at"`
	LastAt     time.Time   `json:"last_at"`
	State      string      `json:"state"` // open, accepted or rejected
}

// ProposalsResponse is a page of proposals, oldest first.
type ProposalsResponse struct {
	Proposals []Proposal `json:"proposals"`
	Next      string     `json:"next"` // after=NEXT goes on
}

// DecideRequest decides proposals: accept makes overrides of them.
type DecideRequest struct {
	IDs    []string `json:"ids"`
	Action string   `json:"action"`           // accept or reject
	Labels []string `json:"labels,omitempty"` // what they mean, where the model's answer is not it
}

// DecideResponse says how many proposals were decided.
type DecideResponse struct {
	Decided int `json:"decided"`
}

// Override is a tenant's own meaning of a detector's label.
type Override struct {
	ID        string    `json:"id"`
	Detector  string    `json:"detector"`
	Native    string    `json:"native"`
	Labels    []string  `json:"labels"`
	KeyID     string    `json:"key_id"` // who decided
	ChangedAt time.Time `json:"changed_at"`
}

// OverridesResponse is all of a tenant's overrides.
type OverridesResponse struct {
	Overrides []Override `json:"overrides"`
}

// OverrideRequest makes an override, or replaces it.
type OverrideRequest struct {
	Detector string   `json:"detector"`
	Native   string   `json:"native"`
	Labels   []string `json:"labels"`
}

// OverrideResponse names the override that was made.
type OverrideResponse struct {
	ID string `json:"id"`
}

// Decision is one entry of the history.
type Decision struct {
	At       time.Time `json:"at"`
	KeyID    string    `json:"key_id"`
	Action   string    `json:"action"` // accept, reject, override or remove
	ID       string    `json:"id"`     // of the proposal or override
	Detector string    `json:"detector"`
	Labels   []string  `json:"labels"`
}

// DecisionsResponse is the history, latest first.
type DecisionsResponse struct {
	Decisions []Decision `json:"decisions"`
}

// ParseDecide reads a DecideRequest.
func ParseDecide(body []byte) (req DecideRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	switch {
	case len(req.IDs) < 1 || len(req.IDs) > MaxProposals:
		return req, Errorf(InvalidRequest, "ids must have 1 to %d entries", MaxProposals)
	case req.Action != "accept" && req.Action != "reject":
		return req, Errorf(InvalidRequest, "action must be accept or reject")
	case req.Action == "reject" && len(req.Labels) > 0:
		return req, Errorf(InvalidRequest, "labels go with accept only")
	case len(req.Labels) > MaxLabels:
		return req, Errorf(InvalidRequest, "labels must have at most %d entries", MaxLabels)
	}
	return req, nil
}

// ParseOverride reads an OverrideRequest.
func ParseOverride(body []byte) (req OverrideRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	switch {
	case req.Detector == "" || len(req.Detector) > MaxDetector:
		return req, Errorf(InvalidRequest, "detector must have 1 to %d bytes", MaxDetector)
	case req.Native == "" || len(req.Native) > MaxNative:
		return req, Errorf(InvalidRequest, "native must have 1 to %d bytes", MaxNative)
	case len(req.Labels) < 1 || len(req.Labels) > MaxLabels:
		return req, Errorf(InvalidRequest, "labels must have 1 to %d entries", MaxLabels)
	}
	return req, nil
}
