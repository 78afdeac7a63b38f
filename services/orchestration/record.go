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

// receipt says what was decided, without anything of the content.
func (j *job) receipt(a *Answer, e policy.Evidence, verdict policy.Judgment) (*api.Receipt, error) {
	vault := j.caller.Tenant.Vault
	versions := map[string]string{}
	e.Detectors = slices.Clone(e.Detectors)
	for i := range e.Detectors {
		d := &e.Detectors[i]
		versions[d.Name] = d.Version
		d.Findings = slices.Clone(d.Findings)
		for k := range d.Findings {
			d.Findings[k].Native = receipt.Native(vault, j.known, d.Name, d.Findings[k].Native)
		}
	}
	evidence, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	judgment, err := json.Marshal(verdict)
	if err != nil {
		return nil, fmt.Errorf("judgment: %w", err)
	}
	return &api.Receipt{
		RequestID: j.requestID, KeyID: j.caller.Key.ID, Environment: j.req.Environment,
		Content:  receipt.Content(vault, j.req.ContentType, j.req.Content),
		Policy:   api.ReceiptPolicy{Name: j.chain.Name, Version: j.chain.Version, Hash: j.chain.Hash, FloorHash: j.chain.FloorHash},
		Evidence: evidence, Judgment: judgment,
		Versions: api.ReceiptVersions{Orchestration: j.Release, Taxonomy: j.mapping.Taxonomy, Model: j.mapping.Model, Detectors: versions},
		Redacted: a.Redactions, LatencyMS: milliseconds(time.Since(j.begin)), FailOpen: verdict.FailOpen,
	}, nil
}

// known says whether a detector's label may be kept in words: built-in detectors have a list of theirs, others may say
// anything.
func (s *Service) known(detector, native string) bool {
	_, local := s.builtin[detector]
	return local || s.Spells(native)
}
