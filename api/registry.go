package api

import "time"

// Limits of what a tenant registers.
const (
	MaxRegistered = 50       // detectors, and policies
	MaxVersions   = 200      // of each that are kept: the newest, and the one in force
	MaxSpec       = 16 << 10 // bytes of what describes a detector
)

// Health says how a detector answered when it was asked how it is.
type Health string

// The states of health.
const (
	HealthUnknown   Health = "unknown" // it was not asked yet, or cannot be asked
	HealthHealthy   Health = "healthy"
	HealthUnhealthy Health = "unhealthy" // three times in a row it did not say that it is well
)

// HealthInfo says how a detector is, as the replica that answers sees it.
type HealthInfo struct {
	State     Health     `json:"state"`
	Failures  int        `json:"failures"`             // in a row
	Reason    string     `json:"reason,omitempty"`     // of the last failure: refused, closed, timeout, 5xx, ...
	CheckedAt *time.Time `json:"checked_at,omitempty"` // absent if it was never asked
}

// Registered is one version of a detector or a policy.
type Registered struct {
	Version   int       `json:"version"`
	Active    bool      `json:"active"` // whether it is in force
	Hash      string    `json:"hash"`   // of a policy, SHA-256 of its canonical form; of a detector, an HMAC
	KeyID     string    `json:"key_id"` // who made it
	CreatedAt time.Time `json:"created_at"`
}

// VersionsResponse is the versions of a detector or a policy that are kept, newest first.
type VersionsResponse struct {
	Versions []Registered `json:"versions"`
}

// PolicyInfo is a version of a policy.
type PolicyInfo struct {
	Name      string     `json:"name"`
	Version   int        `json:"version"` // 0 is the policy that ships, of a tenant that has no other default
	Newest    int        `json:"newest"`
	Active    int        `json:"active"` // the version in force; 0 if none is
	Hash      string     `json:"hash"`
	KeyID     string     `json:"key_id,omitempty"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	Policy    string     `json:"policy,omitempty"` // its text; not in lists
}

// PoliciesResponse is a tenant's policies by name, each at the version in force, or else the newest.
type PoliciesResponse struct {
	Policies []PolicyInfo `json:"policies"`
}

// PolicyReport says what is wrong with a policy, and what is doubtful.
type PolicyReport struct {
	Valid    bool     `json:"valid"`
	Hash     string   `json:"hash,omitempty"`
	Faults   []string `json:"faults"`
	Findings []string `json:"findings"`
}

// ActivateRequest brings a version of a policy into force.
type ActivateRequest struct {
	Version int `json:"version"`
}

// ParseActivate reads an ActivateRequest.
func ParseActivate(body []byte) (req ActivateRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	if req.Version < 1 {
		return req, Errorf(InvalidRequest, "version must be that of the policy to come into force, 1 or more")
	}
	return req, nil
}

// EventRegistry is the kind of the event that a change of what a tenant has registered makes: it is a RegistryEvent.
const EventRegistry = "registry"

// RegistryEvent says who changed a policy or a detector, and nothing of what they say.
type RegistryEvent struct {
	Kind     string           `json:"kind"` // EventRegistry
	Time     time.Time        `json:"time"` // UTC, to the microsecond
	TenantID string           `json:"tenant_id"`
	KeyID    string           `json:"key_id"`
	Change   string           `json:"change"` // create, update, activate or delete
	Object   string           `json:"object"` // policy or detector
	Name     string           `json:"name"`
	Newest   RegistryVersion  `json:"newest"` // after the change
	Before   *RegistryVersion `json:"before"` // in force; null where nothing was
	After    *RegistryVersion `json:"after"`
}

// RegistryVersion is a version of a policy or a detector.
type RegistryVersion struct {
	Version int    `json:"version"`
	Hash    string `json:"hash"` // of a policy, as its answers have it; of a detector, an HMAC under a key of the tenant
}
