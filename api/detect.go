package api

import (
	"encoding/json"
	"time"
)

// Limits of the detector API.
const (
	MaxContents  = 100 // texts of one request
	MaxDetectors = 16  // names in detector-id
)

// ContentsRequest asks what detectors find in texts, in the form of the FMS detector API
// (github.com/foundation-model-stack/fms-guardrails-orchestrator, openapi_detector_api.yaml).
type ContentsRequest struct {
	Contents []string       `json:"contents"`
	Params   DetectorParams `json:"detector_params"`
}

// DetectorParams is what a caller can say about detection.
type DetectorParams struct {
	Threshold float64 `json:"threshold,omitempty"` // score below which nothing is said, 0 to 1; absent or 0 is 0.5
}

// Detection is one thing found in one text. Start and End count code points; End is behind the last.
type Detection struct {
	Start         int        `json:"start"`
	End           int        `json:"end"`
	Text          string     `json:"text"`           // what is between them
	Detection     string     `json:"detection"`      // the detector's label
	DetectionType string     `json:"detection_type"` // the detector
	Score         float64    `json:"score"`          // 0 to 1
	Evidence      []Evidence `json:"evidence"`
}

// Evidence says why.
type Evidence struct {
	Name  string  `json:"name"`
	Value string  `json:"value"`
	Score float64 `json:"score"`
}

// DetectorInfo describes a detector, built in or registered by the tenant.
type DetectorInfo struct {
	Name         string          `json:"name"`
	Version      string          `json:"version"` // of its rules; a number that grows, of a registered one
	Labels       []string        `json:"labels"`  // all that a built-in one can say
	Kind         string          `json:"kind"`    // built-in, or how it is asked: fms, presidio, ...
	ContentTypes []ContentType   `json:"content_types"`
	Covers       []string        `json:"covers"` // categories of the taxonomy that it can see
	Health       Health          `json:"health"`
	Spec         json.RawMessage `json:"spec,omitempty"` // what was registered, **** for its secrets; not in lists
	KeyID        string          `json:"key_id,omitempty"`
	CreatedAt    *time.Time      `json:"created_at,omitempty"`
}

// DetectorsResponse is the built-in detectors, and those that the tenant has registered.
type DetectorsResponse struct {
	Detectors []DetectorInfo `json:"detectors"`
}

// ParseContents reads a ContentsRequest.
func ParseContents(body []byte) (req ContentsRequest, err error) {
	if err := decodeAtMost(MaxOrchestrateBody, body, &req); err != nil {
		return req, err
	}
	switch {
	case len(req.Contents) < 1 || len(req.Contents) > MaxContents:
		return req, Errorf(InvalidRequest, "contents must have 1 to %d texts", MaxContents)
	case req.Params.Threshold < 0 || req.Params.Threshold > 1:
		return req, Errorf(InvalidRequest, "threshold must be 0 to 1")
	}
	return req, nil
}
