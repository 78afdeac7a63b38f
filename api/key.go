package api

import "time"

// Key is an API key as it is kept: all but its secret.
type Key struct {
	ID         string     `json:"id"`
	Tenant     string     `json:"tenant_id"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"` // up to ten seconds late
}

// KeysResponse is a tenant's keys, newest first.
type KeysResponse struct {
	Keys []*Key `json:"keys"`
}

// NewKeyResponse is a key that was made, shown this once.
type NewKeyResponse struct {
	Key    string `json:"key"` // lm_ID_SECRET
	APIKey *Key   `json:"api_key"`
}

// NewKeyRequest describes an API key to be made for the caller's own tenant.
type NewKeyRequest struct {
	Name          string   `json:"name"`
	Role          string   `json:"role"`             // viewer, operator or admin
	Scopes        []string `json:"scopes,omitempty"` // some of the role's; none means all
	ExpiresInDays int      `json:"expires_in_days,omitempty"`
}

// RotateKeyRequest replaces a key by another of the same rights.
type RotateKeyRequest struct {
	GraceMinutes int `json:"grace_minutes"` // how long the old one goes on; 0 ends it now
}

// ParseNewKey reads a NewKeyRequest.
func ParseNewKey(body []byte) (req NewKeyRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	if req.ExpiresInDays < 0 || req.ExpiresInDays > 3650 {
		return req, Errorf(InvalidRequest, "expires_in_days must be 0, for never, to 3650")
	}
	return req, nil
}

// ParseRotateKey reads a RotateKeyRequest.
func ParseRotateKey(body []byte) (req RotateKeyRequest, err error) {
	if err := decode(body, &req); err != nil {
		return req, err
	}
	if req.GraceMinutes < 0 || req.GraceMinutes > 43200 {
		return req, Errorf(InvalidRequest, "grace_minutes must be 0 to 43200, which is 30 days")
	}
	return req, nil
}
