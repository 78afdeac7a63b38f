// Package remap says what history would be called today: it looks the findings of events up in the tables, overrides and
// taxonomy that are in force now. Events have no content, so what only the model has answered stays what it was,
// unless a table or an override knows it now. Nothing that is recorded changes.
package remap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

// Overrides are tenants' own meanings. *review.Overrides is one.
type Overrides interface {
	// Find is Lookup for a label of which only the digest is known.
	Find(t *access.Tenant, detector, digest string) []string
}

// Change is a finding that would be called otherwise.
type Change struct {
	Seq      int64     `json:"seq"` // of its event
	Time     time.Time `json:"time"`
	Detector string    `json:"detector"`
	Native   string    `json:"native"` // as the event has it: the label, or a digest of it
	Was      []string  `json:"was"`
	Now      []string  `json:"now"`
	Why      string    `json:"why"` // "override", "table NAME@VERSION", or "taxonomy VERSION": it has a finer label for the same
}

// Counts sums findings up.
type Counts struct {
	Events    int64 `json:"events"`
	Unchanged int64 `json:"unchanged"`
	Changed   int64 `json:"changed"`
	Model     int64 `json:"model"` // cannot be told: the model's answer, and no table or override knows the label
	Gone      int64 `json:"gone"`  // cannot be told: what answered is no more, or was a pattern of an older table and the label is a digest
}

// History maps events of one tenant again, one after the other.
type History struct {
	Counts    Counts
	knowledge mapper.Knowledge
	overrides Overrides // nil for none
	tenant    *access.Tenant
	digests   map[string]map[string]string // of the labels of a table, by its detector
}

// New makes a history that has no event yet.
func New(k mapper.Knowledge, o Overrides, t *access.Tenant) *History {
	return &History{knowledge: k, overrides: o, tenant: t, digests: map[string]map[string]string{}}
}

// Event takes an event as the feed and exports have it, with its number, and returns its findings that change.
func (h *History) Event(seq int64, raw json.RawMessage) ([]Change, error) {
	var e api.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("event %d cannot be read: %w", seq, err)
	}
	if e.Kind != api.EventMapping {
		return nil, nil
	}
	h.Counts.Events++
	var changes []Change
	for _, f := range e.Findings {
		now, why := h.now(&e, f)
		switch {
		case now == nil && (f.Source == api.SourceModel || f.Source == api.SourceFallback):
			h.Counts.Model++
		case now == nil:
			h.Counts.Gone++
		case same(now, f.Labels):
			h.Counts.Unchanged++
		default:
			h.Counts.Changed++
			changes = append(changes, Change{seq, e.Time, e.Detector, f.Native, f.Labels, now, why})
		}
	}
	return changes, nil
}

// now is what a finding is called today, and what says so; nil if that cannot be told.
func (h *History) now(e *api.Event, f api.EventFinding) (labels []string, why string) {
	clean := f.Source == api.SourceTable && f.Table == "" // the detector's own word, which needs no row
	if clean && f.Scale != "" {                           // said of a label that is not there
		return f.Labels, ""
	}
	if e.ModelOnly {
		return nil, ""
	}
	r := h.knowledge.Tables.Recall(e, f, h.spell)
	if labels := h.override(r.Name, f.Native); labels != nil {
		return labels, "override"
	}
	if clean {
		return f.Labels, ""
	}
	m := h.knowledge.Migration
	if old, _ := m.Labels(r.Labels); e.Versions.Taxonomy == m.To && same(old, f.Labels) {
		return r.Labels, "taxonomy " + m.From
	}
	return r.Labels, "table " + r.Table
}

func (h *History) override(detector, native string) []string {
	if h.overrides == nil {
		return nil
	}
	if !strings.HasPrefix(native, "hmac:") {
		native = h.tenant.Vault.Digest(strings.ToLower(native))
	}
	return h.overrides.Find(h.tenant, detector, native)
}

// spell finds the label of a table that has a digest.
func (h *History) spell(table, digest string) string {
	known := h.digests[table]
	if known == nil {
		known = map[string]string{}
		for _, name := range h.knowledge.Tables.Names(table) {
			known[h.tenant.Vault.Digest(name)] = name
		}
		h.digests[table] = known
	}
	return known[digest]
}

// same says whether labels are the same, in whatever order.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
