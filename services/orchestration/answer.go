package orchestration

import (
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// Answer is the response to an orchestration.
type Answer struct {
	RequestID   string                `json:"request_id"`
	JobID       string                `json:"job_id,omitempty"` // of one that was done in the background
	Mode        string                `json:"processing_mode"`  // api.ModeSync or api.ModeAsync
	ContentType api.ContentType       `json:"content_type"`
	Characters  int                   `json:"characters"` // code points of what detectors were shown; of an image, bytes in base64
	Decision    api.Action            `json:"decision"`
	Outcome     api.Outcome           `json:"outcome"`
	Reasons     []policy.Reason       `json:"reasons"`
	Labels      []policy.LabelVerdict `json:"labels"`
	Spans       []Span                `json:"spans"`    // where they are, by place
	Controls    []string              `json:"controls"` // that the labels concern
	Coverage    policy.Coverage       `json:"coverage"`
	NotChecked  []policy.NotChecked   `json:"not_checked"`
	FailOpen    []string              `json:"fail_open"` // detectors without whose answer the content passed, because the policy says so
	Detectors   []DetectorResult      `json:"detector_results"`
	Attempted   int                   `json:"detectors_attempted"`
	Succeeded   int                   `json:"detectors_succeeded"`
	Failed      int                   `json:"detectors_failed"`
	Redacted    *string               `json:"redacted_content,omitempty"` // if it was asked for
	Redactions  int                   `json:"redactions,omitempty"`
	Mapping     Mapping               `json:"mapping"`
	Policy      PolicyChain           `json:"policy"`
	Shadow      *Shadow               `json:"shadow,omitempty"`
	Notes       []string              `json:"notes"` // what of the request was not granted
	Receipt     string                `json:"receipt_id"`
	TookMS      float64               `json:"processing_time_ms"`
	Timestamp   time.Time             `json:"timestamp"`
}

// DetectorResult is what became of one detector.
type DetectorResult struct {
	Detector string             `json:"detector"`
	Version  string             `json:"version,omitempty"`
	Mode     string             `json:"mode"` // required, optional or shadow
	Status   api.DetectorStatus `json:"status"`
	Reason   string             `json:"reason,omitempty"`
	Findings []Finding          `json:"findings"`
	Scanned  int                `json:"characters_scanned"`
	Attempts int                `json:"attempts"`
	Hedged   bool               `json:"hedged,omitempty"`
	Cached   bool               `json:"cached,omitempty"`
	TookMS   float64            `json:"processing_time_ms"`
}

// Finding is one thing that a detector said: its own word, and what that stands for.
type Finding struct {
	Native     string     `json:"native"`
	Labels     []string   `json:"labels"` // empty where the mapper has not answered
	Score      float64    `json:"score"`  // 0 to 1; 1 where the detector only names it
	Scale      string     `json:"scale,omitempty"`
	Raw        string     `json:"raw,omitempty"`
	Confidence float64    `json:"confidence"` // that the labels are right
	Source     api.Source `json:"source,omitempty"`
	Places     []Place    `json:"places"`
}

// Place is where in the content something is: bytes and code points; the end is behind the last.
type Place struct {
	Start     int    `json:"start"` // code points
	End       int    `json:"end"`
	ByteStart int    `json:"byte_start"`
	ByteEnd   int    `json:"byte_end"`
	Why       string `json:"why,omitempty"` // the rule that found it
}

// Span is a place that has a label. Places that overlap, of one label, are one span.
type Span struct {
	Label string `json:"label"` // a detector's own word, where nobody has named that
	Place
	Score     float64  `json:"score"`     // the highest
	Detectors []string `json:"detectors"` // that say so
}

// Mapping says whether findings got canonical labels.
type Mapping struct {
	Status   string  `json:"status"`           // ok, none (there was nothing to map) or away
	Reason   string  `json:"reason,omitempty"` // why it is away
	Taxonomy string  `json:"taxonomy,omitempty"`
	Model    string  `json:"model,omitempty"`
	TookMS   float64 `json:"processing_time_ms"`
}

// PolicyChain is what decided.
type PolicyChain struct {
	Name         string `json:"name"`
	Version      int    `json:"version"`
	Hash         string `json:"hash"` // of what the chain amounts to
	FloorVersion int    `json:"floor_version"`
	FloorHash    string `json:"floor_hash"`
}

// Shadow is what another policy would have decided.
type Shadow struct {
	Policy   string      `json:"policy"`
	Version  int         `json:"version"`
	Hash     string      `json:"hash"`
	Decision api.Action  `json:"decision"`
	Outcome  api.Outcome `json:"outcome"`
}
