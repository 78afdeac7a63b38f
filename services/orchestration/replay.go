package orchestration

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/receipt"
	"github.com/llama-mapper/llama-mapper/services/registry"
)

// Policies finds the policies that judge receipts again: a version of a tenant's policy, beside the floor in force as
// in a request. What a caller had added then is left out.
func Policies(store *registry.Store, known Registry, refiner policy.Refiner) receipt.Policies {
	return func(ctx context.Context, t *access.Tenant, name string, version int) (out receipt.Policy, err error) {
		floor, floorVersion, err := known.Policy(t.ID, registry.Floor)
		if err != nil {
			return out, err
		}
		p := floor
		switch {
		case version > 0:
			var e registry.Entry
			if e, err = store.Get(ctx, t, registry.Policies, name, version); err == nil {
				p, err = policy.Parse(e.Text)
			}
		case name != registry.Floor:
			p, version, err = known.Policy(t.ID, name)
		default:
			version = floorVersion
		}
		if err != nil {
			return out, err
		}
		if name != registry.Floor {
			p = policy.Combine(floor, p)
		}
		out.ReceiptPolicy = api.ReceiptPolicy{Name: name, Version: version, Hash: p.Hash(), FloorHash: floor.Hash()}
		out.Judge = func(raw json.RawMessage) (json.RawMessage, error) {
			var e policy.Evidence
			if err := json.Unmarshal(raw, &e); err != nil {
				return nil, fmt.Errorf("evidence: %w", err)
			}
			return json.Marshal(p.Refine(ctx, refiner, e, p.Judge(e)))
		}
		return out, nil
	}
}
