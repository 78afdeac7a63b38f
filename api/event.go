package api

import (
	"encoding/json"
	"strconv"
	"time"
)

// MaxEvents is how many events one request of the feed returns, at most.
const MaxEvents = 1000

// The kinds of events.
const (
	EventMapping = "mapping"
	EventDrift   = "drift" // a detector said for the first time what its table does not know
)

// Event says what one mapping decided and from what. It has nothing of the content: a native label that is not made
// of words that our own tables and taxonomy have is a digest, hmac:..., by which only equal ones can be told.
type Event struct {
	Kind       string             `json:"kind"` // EventMapping or EventDrift
	Time       time.Time          `json:"time"` // UTC, to the microsecond
	RequestID  string             `json:"request_id"`
	Item       int                `json:"item"` // of a batch, from 0
	TenantID   string             `json:"tenant_id"`
	KeyID      string             `json:"key_id"`
	Detector   string             `json:"detector"`
	Vendor     string             `json:"vendor"`
	Findings   []EventFinding     `json:"findings"`
	Taxonomy   []string           `json:"taxonomy"`
	Scores     map[string]float64 `json:"scores"`
	Confidence float64            `json:"confidence"`
	Source     Source             `json:"source"`
	Versions   VersionInfo        `json:"versions"`
	LatencyMS  float64            `json:"latency_ms"`
	ModelOnly  bool               `json:"model_only,omitempty"` // it was asked of the model alone
}

// EventFinding is one thing the detector said.
type EventFinding struct {
	Native     string   `json:"native"` // the detector's label, or a digest of it
	Labels     []string `json:"labels"`
	Source     Source   `json:"source"`
	Confidence float64  `json:"confidence"`
	Score      *float64 `json:"score,omitempty"`
	Scale      string   `json:"scale,omitempty"`
	Model      string   `json:"model,omitempty"`
	Table      string   `json:"table,omitempty"` // whose row answered
}

// EventsResponse is a piece of the feed: Event objects, each with its number as seq, in order.
type EventsResponse struct {
	Events []json.RawMessage `json:"events"`
	Next   string            `json:"next"` // the cursor behind the last of them: after=NEXT goes on
}

// Cursor is the place behind an event in the feed.
func Cursor(seq int64) string { return strconv.FormatInt(seq, 10) }

// ParseCursor reads a cursor; an empty one is the start.
func ParseCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seq < 0 {
		return 0, Errorf(InvalidRequest, "after is not a cursor of this feed; send the next of the last response, or nothing to begin")
	}
	return seq, nil
}
