package orchestration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/receipt"
)

// Recorder has receipts kept before the answer leaves. *receipt.Service is one.
type Recorder interface {
	Keep(ctx context.Context, t *access.Tenant, receipts ...*api.Receipt) error
}

// kept is evidence as a receipt keeps it and policies' programs see it, which could repeat what they see: without labels
// that nobody knows, which may be content.
func (j *job) kept(e policy.Evidence) policy.Evidence {
	e.Detectors = slices.Clone(e.Detectors)
	for i := range e.Detectors {
		d := &e.Detectors[i]
		d.Findings = slices.Clone(d.Findings)
		for k := range d.Findings {
			d.Findings[k].Native = receipt.Native(j.caller.Tenant.Vault, j.known, d.Name, d.Findings[k].Native)
		}
	}
	return e
}

// receipt says what was decided from evidence as it is kept, without anything of the content.
func (j *job) receipt(a *Answer, e policy.Evidence, verdict policy.Judgment) (*api.Receipt, error) {
	versions := map[string]string{}
	for _, d := range e.Detectors {
		versions[d.Name] = d.Version
	}
	judgment, err := json.Marshal(verdict)
	if err != nil {
		return nil, fmt.Errorf("judgment: %w", err)
	}
	r := &api.Receipt{
		RequestID: j.requestID, KeyID: j.caller.Key.ID, Environment: j.req.Environment,
		Content:  receipt.Content(j.caller.Tenant.Vault, j.req.ContentType, j.req.Content),
		Policy:   api.ReceiptPolicy{Name: j.chain.Name, Version: j.chain.Version, Hash: j.chain.Hash, FloorHash: j.chain.FloorHash},
		Judgment: judgment,
		Versions: api.ReceiptVersions{Orchestration: j.Release, Taxonomy: j.mapping.Taxonomy, Model: j.mapping.Model, Detectors: versions},
		Redacted: a.Redactions, LatencyMS: milliseconds(time.Since(j.begin)), FailOpen: verdict.FailOpen,
	}
	if s := a.Shadow; s != nil {
		r.Shadow = &api.ReceiptShadow{Policy: s.Policy, Version: s.Version, Hash: s.Hash, Action: s.Decision, Outcome: s.Outcome}
	}
	return r, receipt.Fit(r, e)
}

// known says whether a detector's label may be kept in words: built-in detectors have a list of theirs, others may say
// anything.
func (s *Service) known(detector, native string) bool {
	_, local := s.builtin[detector]
	return local || s.Spells(native)
}
