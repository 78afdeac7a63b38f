package receipt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Policy is a policy as it judges: together with the tenant's floor.
type Policy struct {
	api.ReceiptPolicy
	Judge func(evidence json.RawMessage) (judgment json.RawMessage, err error) // pure
}

// Policies returns a tenant's policy of a version, or for 0, the one in force.
type Policies func(ctx context.Context, t *access.Tenant, name string, version int) (Policy, error)

// Replay judges a receipt's evidence under another policy. No detector is asked, and there is no content.
func (s *Service) Replay(ctx context.Context, t *access.Tenant, id string, req api.ReplayRequest) (out api.ReplayResponse, err error) {
	raw, err := s.Get(ctx, t, id)
	if err != nil {
		return out, err
	}
	var r api.Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return out, fmt.Errorf("receipt: %w", err)
	}
	p, err := s.policies(ctx, t, cmp.Or(req.Policy, r.Policy.Name), req.Version)
	if err != nil {
		return out, err
	}
	now, err := p.Judge(r.Evidence)
	if err != nil {
		return out, err
	}
	out = api.ReplayResponse{ReceiptID: r.ID, Then: api.ReplayJudgment{Policy: r.Policy, Judgment: r.Judgment}, Now: api.ReplayJudgment{Policy: p.ReceiptPolicy, Judgment: now}}
	out.Changed, err = changed(r.Judgment, now)
	return out, err
}

// changed names the fields that differ.
func changed(a, b json.RawMessage) ([]string, error) {
	var then, now map[string]any
	if err := json.Unmarshal(a, &then); err != nil {
		return nil, fmt.Errorf("judgment: %w", err)
	}
	if err := json.Unmarshal(b, &now); err != nil {
		return nil, fmt.Errorf("judgment: %w", err)
	}
	names := []string{}
	for name, v := range then {
		if other, ok := now[name]; !ok || !reflect.DeepEqual(v, other) {
			names = append(names, name)
		}
	}
	for name := range now {
		if _, ok := then[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// replayPage is how many receipts are in memory at once.
const replayPage = 500

// ReplayRange judges the receipts behind the number after. It ends early when half of a request's time is over: the
// answer's cursor says where to go on.
func (s *Service) ReplayRange(ctx context.Context, t *access.Tenant, after int64, req api.ReplayRangeRequest) (out api.ReplayRangeResponse, err error) {
	p, err := s.policies(ctx, t, req.Policy, req.Version)
	if err != nil {
		return out, err
	}
	out = api.ReplayRangeResponse{Policy: p.ReceiptPolicy, Actions: []api.ActionChange{}, Changed: []string{}}
	for began := time.Now(); out.Judged < req.Limit && time.Since(began) < postgres.Deadline/2; {
		page, err := s.List(ctx, t, after, min(req.Limit-out.Judged, replayPage))
		if err != nil {
			return out, err
		}
		next, err := api.ParseCursor(page.Next)
		if err != nil {
			return out, err
		}
		for _, raw := range page.Receipts {
			if err := add(&out, p, raw); err != nil {
				return out, err
			}
		}
		if next == after {
			break
		}
		after = next
	}
	slices.SortFunc(out.Actions, func(a, b api.ActionChange) int {
		return cmp.Or(rank(a.Then)-rank(b.Then), rank(a.Now)-rank(b.Now))
	})
	out.Next, out.Blocks = api.Cursor(after), blocks(out.Actions)
	return out, nil
}

// blocks compares how often the two policies block.
func blocks(actions []api.ActionChange) api.BlockChange {
	var c policy.Comparison
	for _, a := range actions {
		c.Add(a.Then, a.Now, a.Count)
	}
	d := c.Difference()
	return api.BlockChange{OnlyThen: d.OnlyLive, OnlyNow: d.OnlyShadow, P: d.P, Delta: d.Rate, Low: d.Low, High: d.High}
}

func rank(a api.Action) int { return slices.Index(api.Actions, a) }

// add judges one receipt and counts it.
func add(out *api.ReplayRangeResponse, p Policy, raw json.RawMessage) error {
	var r api.Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	judgment, err := p.Judge(r.Evidence)
	if err != nil {
		return err
	}
	var then, now struct{ Action api.Action }
	if err := errors.Join(json.Unmarshal(r.Judgment, &then), json.Unmarshal(judgment, &now)); err != nil {
		return fmt.Errorf("judgment: %w", err)
	}
	same := func(c api.ActionChange) bool { return c.Then == then.Action && c.Now == now.Action }
	if i := slices.IndexFunc(out.Actions, same); i >= 0 {
		out.Actions[i].Count++
	} else {
		out.Actions = append(out.Actions, api.ActionChange{Then: then.Action, Now: now.Action, Count: 1})
	}
	if then != now && len(out.Changed) < api.MaxMoved {
		out.Changed = append(out.Changed, r.ID)
	}
	out.Judged++
	return nil
}
