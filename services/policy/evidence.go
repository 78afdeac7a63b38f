package policy

import "github.com/llama-mapper/llama-mapper/api"

// Evidence is what came of asking detectors about a content. It has nothing of the content.
type Evidence struct {
	ContentType  api.ContentType    `json:"content_type"`
	Characters   int                `json:"characters"`
	Detectors    []DetectorEvidence `json:"detectors"`
	Mapped       bool               `json:"mapped"` // false: labels are missing because the mapper did not answer
	MapperReason string             `json:"mapper_reason,omitempty"`
}

// DetectorEvidence is what came of asking one detector.
type DetectorEvidence struct {
	Name     string             `json:"name"`
	Version  string             `json:"version,omitempty"`
	Status   api.DetectorStatus `json:"status"`
	Reason   string             `json:"reason,omitempty"`
	Covers   []string           `json:"covers,omitempty"`  // categories it looks into, and labels it knows: see sees
	Scanned  int                `json:"scanned,omitempty"` // characters it has looked at
	Findings []Finding          `json:"findings,omitempty"`
	LeftOut  int                `json:"left_out,omitempty"` // findings, the weakest, for which a receipt had no room
}

// Finding is one thing that a detector said is there.
type Finding struct {
	Native     string     `json:"native"`
	Score      float64    `json:"score"`
	Labels     []string   `json:"labels,omitempty"`
	Confidence float64    `json:"confidence"` // that the labels are right
	Source     api.Source `json:"source,omitempty"`
	Places     int        `json:"places,omitempty"`
}

// Judgment is a policy's answer.
type Judgment struct {
	Action       api.Action     `json:"action"`
	Outcome      api.Outcome    `json:"outcome"`
	Reasons      []Reason       `json:"reasons"`                 // strictest first; none if the action is allow
	Labels       []LabelVerdict `json:"labels"`                  // by name
	ShadowLabels []LabelVerdict `json:"shadow_labels,omitempty"` // what shadow detectors alone would have given
	Coverage     Coverage       `json:"coverage"`
	NotChecked   []NotChecked   `json:"not_checked"`
	FailOpen     []string       `json:"fail_open"` // detectors that did not answer, which the policy lets pass
	Redact       []string       `json:"redact"`    // labels whose places are to be taken out
}

// The codes of reasons.
const (
	ReasonLabel         = "label"          // a rule is for a label that is there
	ReasonUnmapped      = "unmapped"       // a finding has no label
	ReasonDetector      = "detector"       // a detector did not answer, which the policy does not let pass
	ReasonFailOpen      = "fail_open"      // a required detector did not answer, which the policy lets pass
	ReasonCoverage      = "coverage"       // less was checked than the policy wants
	ReasonContentType   = "content_type"   // the policy is not for such content
	ReasonRego          = "rego"           // the policy's program said so
	ReasonRegoError     = "rego_error"     // it failed, and changed nothing
	ReasonRegoUndefined = "rego_undefined" // it said nothing, and changed nothing
)

// Reason is one thing that asked for an action.
type Reason struct {
	Code     string     `json:"code"`
	Policy   string     `json:"policy"`
	Detector string     `json:"detector,omitempty"`
	Label    string     `json:"label,omitempty"`
	Rule     *int       `json:"rule,omitempty"` // its number in the policy, from 0
	Detail   string     `json:"detail,omitempty"`
	Action   api.Action `json:"action"`
}

// LabelVerdict is what was made of what detectors said about one label.
type LabelVerdict struct {
	Label      string     `json:"label"`
	Holds      bool       `json:"holds"` // false: others overruled the detectors that said it
	Action     api.Action `json:"action"`
	Score      float64    `json:"score"`
	Confidence float64    `json:"confidence"`
	Detectors  []string   `json:"detectors"` // that said it
	Places     int        `json:"places"`
	Resolution
}

// NotChecked is something that nobody looked at, or that nobody could name.
type NotChecked struct {
	What     string             `json:"what"` // detector, characters, category or findings
	Detector string             `json:"detector,omitempty"`
	Category string             `json:"category,omitempty"`
	Status   api.DetectorStatus `json:"status,omitempty"`
	Reason   string             `json:"reason,omitempty"`
	Count    int                `json:"count,omitempty"` // of characters or findings
}
