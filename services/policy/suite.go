package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// MaxSuite is how large a file of tests may be.
const MaxSuite = 1 << 20

// Suite is the tests of a policy.
type Suite struct {
	Policy string // its file, from the suite's
	Cases  []Case
}

// Case is one test: an evidence, and what the policy is to make of it. Detectors of the policy that the evidence does
// not name have answered, and found nothing.
type Case struct {
	Name     string
	Evidence Evidence
	Want     Want
}

// Want is what a judgment is to be. What is left out may be anything.
type Want struct {
	Action  api.Action  `yaml:"action"`
	Outcome api.Outcome `yaml:"outcome"`
	Reasons *[]string   `yaml:"reasons"` // all of them: a code, and the label or the detector
}

// Result is what became of a case: it passed if there are no faults.
type Result struct {
	Name   string
	Faults []string
}

// ParseSuite reads the tests of a policy.
func ParseSuite(raw []byte) (*Suite, error) {
	var doc struct {
		Policy string `yaml:"policy"`
		Cases  []struct {
			Name     string `yaml:"name"`
			Evidence any    `yaml:"evidence"`
			Want     Want   `yaml:"want"`
		} `yaml:"cases"`
	}
	if len(raw) > MaxSuite {
		return nil, api.Errorf(api.PayloadTooLarge, "a file of tests has at most %d bytes", MaxSuite)
	}
	if err := config.Strict(raw, &doc); err != nil {
		return nil, api.Errorf(api.InvalidRequest, "the tests are not strict YAML: %s", unreadable(err)[0])
	}
	s := &Suite{Policy: doc.Policy}
	for i, c := range doc.Cases {
		evidence, err := ParseEvidence(c.Evidence)
		if err != nil {
			return nil, api.Errorf(api.InvalidRequest, "cases[%d], %s: the evidence is none: %s", i, c.Name, err)
		}
		s.Cases = append(s.Cases, Case{c.Name, evidence, c.Want})
	}
	if len(s.Cases) == 0 {
		return nil, api.Errorf(api.InvalidRequest, "there are no cases")
	}
	return s, nil
}

// ParseEvidence reads evidence that was decoded from YAML. Without the members, it is of mapped text, and detectors
// have answered.
func ParseEvidence(v any) (Evidence, error) {
	e := Evidence{ContentType: api.ContentText, Mapped: true}
	raw, err := json.Marshal(v)
	if err != nil {
		return e, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, err
	}
	for i := range e.Detectors {
		if e.Detectors[i].Status == "" {
			e.Detectors[i].Status = api.StatusOK
		}
	}
	return e, nil
}

// Run judges every case. r may be nil for a policy without a program.
func (s *Suite) Run(ctx context.Context, p *Policy, r Refiner) []Result {
	var out []Result
	for _, c := range s.Cases {
		e := c.Evidence
		e.Detectors = slices.Clone(e.Detectors)
		for _, name := range slices.Sorted(maps.Keys(p.Detectors)) {
			if !slices.ContainsFunc(e.Detectors, func(d DetectorEvidence) bool { return d.Name == name }) {
				e.Detectors = append(e.Detectors, DetectorEvidence{Name: name, Status: api.StatusOK, Scanned: e.Characters})
			}
		}
		j := p.Judge(e)
		if r != nil {
			j = p.Refine(ctx, r, e, j)
		}
		out = append(out, Result{c.Name, c.Want.faults(j)})
	}
	return out
}

// faults says in what a judgment is not what is wanted.
func (w Want) faults(j Judgment) (faults []string) {
	if w.Action != "" && w.Action != j.Action {
		faults = append(faults, fmt.Sprintf("action is %s, not %s", j.Action, w.Action))
	}
	if w.Outcome != "" && w.Outcome != j.Outcome {
		faults = append(faults, fmt.Sprintf("outcome is %s, not %s", j.Outcome, w.Outcome))
	}
	if w.Reasons == nil {
		return faults
	}
	var got []string
	for _, r := range j.Reasons {
		about := r.Detector
		if r.Label != "" {
			about = r.Label
		}
		got = append(got, strings.TrimSpace(r.Code+" "+about))
	}
	if got, want := union(got, nil), union(*w.Reasons, nil); !slices.Equal(got, want) {
		faults = append(faults, fmt.Sprintf("reasons are %s, not %s", quoted(got), quoted(want)))
	}
	return faults
}

func quoted(s []string) string { return "[" + strings.Join(s, ", ") + "]" }
