package policy

import (
	"context"
	"slices"

	"github.com/llama-mapper/llama-mapper/api"
)

// MaxReasons is how many reasons of a program count.
const MaxReasons = 20

// Refiner runs the programs of policies: package rego does.
type Refiner interface {
	// Refine returns what a program says; no action, if it says none. The error's text is a word. The evidence is as a
	// receipt keeps it: a program may repeat what it sees.
	Refine(ctx context.Context, program string, e Evidence, j Judgment) (Refinement, error)
}

// Refinement is what a program says.
type Refinement struct {
	Action  api.Action
	Reasons []string // names
}

// Programs are those of the policy and of what it was combined from, each once.
func (p *Policy) Programs() []string {
	var out []string
	p.eachProgram(func(_, program string) {
		if !slices.Contains(out, program) {
			out = append(out, program)
		}
	})
	return out
}

func (p *Policy) eachProgram(do func(policy, program string)) {
	for _, part := range p.parts {
		part.eachProgram(do)
	}
	if len(p.parts) == 0 && p.Rego != "" {
		do(p.Name, p.Rego)
	}
}

// Refine lets the policy's programs make a judgment of it stricter. Each sees the judgment as it was. One that fails, or
// says nothing, changes nothing, and a reason says so.
func (p *Policy) Refine(ctx context.Context, r Refiner, e Evidence, j Judgment) Judgment {
	before := j
	j.Reasons = slices.Clone(j.Reasons)
	p.eachProgram(func(policy, program string) {
		said, err := r.Refine(ctx, program, e, before)
		switch {
		case err != nil:
			j.Reasons = append(j.Reasons, Reason{Code: ReasonRegoError, Policy: policy, Detail: err.Error(), Action: api.ActionAllow})
		case said.Action == "":
			j.Reasons = append(j.Reasons, Reason{Code: ReasonRegoUndefined, Policy: policy, Action: api.ActionAllow})
		case weaker(before.Action, said.Action) < 0:
			j.Action = api.Stricter(j.Action, said.Action)
			for _, detail := range append(said.Reasons, "")[:max(1, len(said.Reasons))] {
				j.Reasons = append(j.Reasons, Reason{Code: ReasonRego, Policy: policy, Detail: detail, Action: said.Action})
			}
		}
	})
	j.tidy()
	return j
}
