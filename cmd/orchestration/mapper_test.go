package main

import (
	"context"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/process"
)

// tablesOnly builds a mapper whose model is never sure: what its tables know it names, all else is OTHER.Unknown.
func tablesOnly(p *process.Process) error {
	knowledge, err := mapper.LoadKnowledge()
	if err == nil {
		mapper.New(unsure{}, knowledge, mapper.DefaultOptions(), p.Metrics).Register(p.Router, nowhere{}, nil)
	}
	return err
}

type unsure struct{}

func (unsure) Version() string               { return "unsure" }
func (unsure) Answers(string, string) string { return "unsure" }
func (unsure) Classify(ctx context.Context, _, _ string) (mapper.Answer, error) {
	return mapper.Answer{Label: "OTHER.Unknown", Version: "unsure"}, ctx.Err()
}

// nowhere keeps no events.
type nowhere struct{}

func (nowhere) Keep(context.Context, *access.Tenant, []audit.Entry) error { return nil }
