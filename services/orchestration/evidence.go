package orchestration

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// evidence is what the policy judges: it has nothing of the content.
func (j *job) evidence() policy.Evidence {
	e := policy.Evidence{ContentType: j.in.Type, Characters: j.size, Mapped: j.mapping.Status == "ok" || j.mapping.Status == "none", MapperReason: j.mapping.Reason}
	for _, st := range j.steps {
		d := policy.DetectorEvidence{Name: st.name, Status: st.result.Status, Reason: st.result.Reason, Scanned: st.result.Scanned}
		if st.source != nil {
			d.Version, d.Covers = st.source.Version(), st.source.Covers()
		}
		for _, f := range st.found() {
			n := j.named[f]
			d.Findings = append(d.Findings, policy.Finding{
				Native: f.Native, Score: strength(f), Labels: n.labels, Confidence: n.confidence, Source: n.source, Places: len(f.Spans),
			})
		}
		e.Detectors = append(e.Detectors, d)
	}
	return e
}

// strength is a finding's score; a detector that only names a label is sure of it.
func strength(f *wire.Finding) float64 {
	if f.Score == nil {
		return 1
	}
	return *f.Score
}

// results are the detectors' part of the answer.
func (j *job) results() []DetectorResult {
	out := make([]DetectorResult, len(j.steps))
	for i, st := range j.steps {
		r := DetectorResult{
			Detector: st.name, Mode: string(st.rule.Mode), Status: st.result.Status, Reason: st.result.Reason, Findings: []Finding{},
			Scanned: st.result.Scanned, Attempts: st.result.Attempts, Hedged: st.result.Hedged, Cached: st.cached, TookMS: milliseconds(st.result.Took),
		}
		if st.source != nil {
			r.Version = st.source.Version()
		}
		for _, f := range st.found() {
			n := j.named[f]
			r.Findings = append(r.Findings, Finding{
				Native: f.Native, Labels: append([]string{}, n.labels...), Score: strength(f), Scale: f.Scale, Raw: f.Raw,
				Confidence: n.confidence, Source: n.source, Places: places(f),
			})
		}
		out[i] = r
	}
	return out
}

// places are where a finding is in the content, in order.
func places(f *wire.Finding) []Place {
	out := []Place{}
	for _, at := range f.Spans {
		if at.Byte != nil && at.Rune != nil {
			out = append(out, Place{at.Rune[0], at.Rune[1], at.Byte[0], at.Byte[1], at.Why})
		}
	}
	slices.SortFunc(out, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.ByteStart, b.ByteStart), cmp.Compare(a.ByteEnd, b.ByteEnd))
	})
	return out
}

// decide judges, writes the answer, and its receipt.
func (j *job) decide(ctx context.Context) (*Answer, *api.Receipt, error) {
	e := j.evidence()
	kept := j.kept(e)
	verdict := j.judge(ctx, j.policy, e, kept)
	a := &Answer{
		RequestID: j.requestID, Mode: api.ModeSync, ContentType: j.req.ContentType, Characters: j.size,
		Decision: verdict.Action, Outcome: verdict.Outcome, Reasons: verdict.Reasons, Labels: verdict.Labels, Controls: j.concerned(),
		Coverage: verdict.Coverage, NotChecked: verdict.NotChecked, FailOpen: verdict.FailOpen, Detectors: j.results(),
		Mapping: j.mapping, Policy: j.chain, Notes: append([]string{}, j.notes...), Timestamp: time.Now().UTC(),
	}
	a.count()
	a.mark(j)
	j.shade(ctx, a, e, kept)
	j.observe(a)
	r, err := j.receipt(a, kept, verdict)
	return a, r, err
}

func (j *job) judge(ctx context.Context, p *policy.Policy, e, kept policy.Evidence) policy.Judgment {
	verdict := p.Judge(e)
	if j.Refiner != nil {
		verdict = p.Refine(ctx, j.Refiner, kept, verdict)
	}
	return verdict
}

// count sums up what became of the detectors.
func (a *Answer) count() {
	for _, d := range a.Detectors {
		switch d.Status {
		case api.StatusSkipped:
			continue
		case api.StatusOK:
			a.Succeeded++
		default:
			a.Failed++
		}
		a.Attempted++
	}
}

// shade has the policy that the live one names as its shadow judge the same evidence. It decides nothing.
func (j *job) shade(ctx context.Context, a *Answer, e, kept policy.Evidence) {
	name := j.policy.Shadow.Policy
	if name == "" {
		return
	}
	p, version, err := j.Registry.Policy(j.caller.Tenant.ID, name)
	if err != nil {
		a.Notes = append(a.Notes, "the shadow policy is not there")
		return
	}
	verdict := j.judge(ctx, p, e, kept)
	a.Shadow = &Shadow{Policy: name, Version: version, Hash: p.Hash(), Decision: verdict.Action, Outcome: verdict.Outcome}
	j.shadow.WithLabelValues(string(a.Decision), string(verdict.Action)).Inc()
}

// observe counts. A tenant's detectors are one label together.
func (j *job) observe(a *Answer) {
	j.decisions.WithLabelValues(string(a.Decision), string(a.Outcome)).Inc()
	j.mapped.WithLabelValues(a.Mapping.Status).Inc()
	for _, name := range a.FailOpen {
		if _, local := j.builtin[name]; !local {
			name = "remote"
		}
		j.failOpen.WithLabelValues(name).Inc()
	}
}

// concerned are the controls that the labels concern, each once.
func (j *job) concerned() []string {
	slices.Sort(j.controls)
	return append([]string{}, slices.Compact(j.controls)...)
}
