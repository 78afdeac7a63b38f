// Package policy says what is done about content, given what detectors found in it: a tenant's rules, as data, and a pure
// function over them. A policy is read from YAML, combined with others so that nothing gets weaker, and judges evidence
// that has nothing of the content, so that a decision can be made again later.
package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
)

// Mode says what a detector's answer counts for.
type Mode string

// The modes.
const (
	Required Mode = "required" // it must answer: if it does not, content is at least unverified
	Optional Mode = "optional" // it counts where it answers
	Shadow   Mode = "shadow"   // it is asked, and what it says changes nothing
)

// modes are all modes, weakest first.
var modes = []Mode{Shadow, Optional, Required}

// Policy is what a tenant wants. It is made by Parse, Combine or With and does not change.
type Policy struct {
	Name         string                       `json:"name"`
	Description  string                       `json:"description,omitempty"`
	DeadlineMS   int                          `json:"deadline_ms"`
	ContentTypes []api.ContentType            `json:"content_types"` // other content is at least unverified
	Detectors    map[string]Detector          `json:"detectors"`
	Coverage     CoverageRule                 `json:"coverage"`
	Conflict     map[api.ContentType]Strategy `json:"conflict"`
	Prefer       []string                     `json:"prefer,omitempty"` // detectors, for TenantPreference
	Rules        []Rule                       `json:"rules"`
	Unmapped     api.Action                   `json:"unmapped"` // for findings that have no label, or OTHER.Unknown
	Shadow       ShadowPolicy                 `json:"shadow"`
	Rego         string                       `json:"rego,omitempty"`

	parts []*Policy // each judges too, by itself, and the rules are theirs
	hash  string
}

// Detector is what a policy says about one detector.
type Detector struct {
	Mode         Mode               `json:"mode"`
	OnError      api.Action         `json:"on_error"` // ActionAllow, ActionReview or ActionBlock, where it does not answer
	Weight       float64            `json:"weight"`
	Threshold    float64            `json:"threshold"`            // scores below it say that nothing is there
	Thresholds   map[string]float64 `json:"thresholds,omitempty"` // of single native labels
	TimeoutMS    int                `json:"timeout_ms,omitempty"` // 0 is what the deadline leaves
	ContentTypes []api.ContentType  `json:"content_types"`        // what it is asked about; what the policy takes, if it does not say
	Excludable   bool               `json:"excludable,omitempty"` // whether callers may leave it out
	Excluded     bool               `json:"excluded,omitempty"`   // the caller did: it need not be asked
}

// CoverageRule says how much is to be checked.
type CoverageRule struct {
	Method     Method   `json:"method"`
	Minimum    float64  `json:"minimum"`
	Categories []string `json:"categories,omitempty"` // for TaxonomyCoverage
}

// Rule gives labels an action.
type Rule struct {
	Labels        []string   `json:"labels"` // of the taxonomy; one * stands for anything
	MinScore      float64    `json:"min_score,omitempty"`
	MinConfidence float64    `json:"min_confidence,omitempty"`
	Action        api.Action `json:"action"`
}

// ShadowPolicy names another policy of the tenant, which is judged beside this one and decides nothing.
type ShadowPolicy struct {
	Policy string `json:"policy,omitempty"`
}

// Hash is the hex SHA-256 of the policy and of what it was combined from.
func (p *Policy) Hash() string { return p.hash }

// made ends the making of a policy, which does not change any more.
func (p *Policy) made() *Policy {
	raw, err := json.Marshal(p.canonical())
	if err != nil {
		panic(err) // numbers are finite: Parse has seen to it
	}
	sum := sha256.Sum256(raw)
	p.hash = hex.EncodeToString(sum[:])
	return p
}

func (p *Policy) canonical() any {
	var parts []any
	for _, part := range p.parts {
		parts = append(parts, part.canonical())
	}
	return struct {
		*Policy
		Parts []any `json:"parts,omitempty"`
	}{p, parts}
}

// Takes says whether the policy is for content of a type.
func (p *Policy) Takes(t api.ContentType) bool { return slices.Contains(p.ContentTypes, t) }

// Takes says whether the detector is asked about content of a type.
func (d Detector) Takes(t api.ContentType) bool { return slices.Contains(d.ContentTypes, t) }

// ThresholdOf is the score from which on a native label is there.
func (d Detector) ThresholdOf(native string) float64 {
	if t, ok := d.Thresholds[native]; ok {
		return t
	}
	return d.Threshold
}

// decide returns what the rules say about a label, and whose rule and which it was; -1 if none matches.
func (p *Policy) decide(label string, score, confidence float64) (action api.Action, by string, rule int) {
	action, by, rule = api.ActionAllow, p.Name, -1
	for _, part := range p.parts {
		a, name, i := part.decide(label, score, confidence)
		if rule < 0 || api.Stricter(action, a) != action {
			action, by, rule = a, name, i
		}
	}
	if len(p.parts) > 0 {
		return action, by, rule
	}
	for i, r := range p.Rules {
		if score >= r.MinScore && confidence >= r.MinConfidence && slices.ContainsFunc(r.Labels, func(pattern string) bool { return matches(pattern, label) }) {
			return r.Action, p.Name, i
		}
	}
	return action, by, rule
}

// matches says whether a pattern, in which one * stands for anything, is a label's.
func matches(pattern, label string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == label
	}
	return len(label) >= len(before)+len(after) && strings.HasPrefix(label, before) && strings.HasSuffix(label, after)
}

// within says whether a label or category is in a category: PII.Contact.Email is in PII.Contact, in PII and in itself.
func within(name, category string) bool {
	rest, ok := strings.CutPrefix(name, category)
	return ok && (rest == "" || rest[0] == '.')
}

// weaker compares two actions.
func weaker(a, b api.Action) int {
	return cmp.Compare(slices.Index(api.Actions, a), slices.Index(api.Actions, b))
}
