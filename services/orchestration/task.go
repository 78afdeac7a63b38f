package orchestration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/receipt"
	"github.com/llama-mapper/llama-mapper/services/task"
)

// Tasks does requests in the background. *task.Service is one.
type Tasks interface {
	Submit(ctx context.Context, c access.Caller, request []byte, webhook string) (api.Task, error)
}

// submit has a request done in the background.
func (s *Service) submit(ctx context.Context, c access.Caller, req api.OrchestrateRequest) (api.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, api.MaxDeadline)
	defer cancel()
	req.Mode = api.ModeAsync
	raw, err := json.Marshal(req)
	if err != nil {
		return api.Task{}, errors.New("a request does not encode")
	}
	return s.Tasks.Submit(ctx, c, raw, req.Webhook)
}

// Run implements task.Runner. The receipt becomes part of the transaction that ends the task.
func (s *Service) Run(ctx context.Context, c access.Caller, request []byte, progress func(float64)) (task.Answer, error) {
	req, err := api.ParseOrchestrateRequest(request, c.Tenant.ID)
	if err != nil {
		return task.Answer{}, err
	}
	j := s.newJob(c, "", req)
	if err := j.prepare(); err != nil {
		return task.Answer{}, err
	}
	a, r, err := j.run(ctx, progress)
	if err != nil {
		return task.Answer{}, err
	}
	entries, err := receipt.Entries(c.Tenant, r)
	if err != nil {
		return task.Answer{}, err
	}
	a.Receipt, a.Mode = r.ID, api.ModeAsync
	result, err := json.Marshal(a)
	if err != nil {
		return task.Answer{}, fmt.Errorf("encode the answer: %w", err)
	}
	return task.Answer{Result: result, Events: entries, ReceiptID: r.ID}, nil
}
