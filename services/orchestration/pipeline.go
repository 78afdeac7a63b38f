package orchestration

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/content"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// job is one orchestration that is being done.
type job struct {
	*Service
	caller    access.Caller
	req       api.OrchestrateRequest
	requestID string
	begin     time.Time

	policy *policy.Policy
	chain  PolicyChain
	notes  []string
	in     detect.Input // what detectors are shown
	back   content.Map  // from places in it to the document
	size   int          // of it, in code points
	steps  []*step

	mapping  Mapping
	controls []string
	named    map[*wire.Finding]named
}

// named is what the mapper says of a finding.
type named struct {
	labels     []string
	confidence float64
	source     api.Source
}

// Orchestrate looks at content under the caller's policy. Whatever detectors and mapper do, the answer comes within the
// deadline, and says what it does not rest on. The error is for a request that cannot be done at all.
func (s *Service) Orchestrate(ctx context.Context, c access.Caller, requestID string, req api.OrchestrateRequest) (*Answer, error) {
	j := s.newJob(c, requestID, req)
	if err := j.prepare(); err != nil {
		return nil, err
	}
	return j.finish(ctx)
}

// slowAfter is the time from which a request that leaves it to us is done in the background.
const slowAfter = 1500 * time.Millisecond

// slow says whether the request is expected to take too long to wait for.
func (j *job) slow() bool {
	for _, st := range j.steps {
		if st.skip == "" && j.Pool.Expect(j.call(st), j.size) > slowAfter {
			return true
		}
	}
	return false
}

// finish does the request, and answers once its receipt is kept.
func (j *job) finish(ctx context.Context) (*Answer, error) {
	a, r, err := j.run(ctx, func(float64) {})
	if err != nil {
		return nil, err
	}
	// The receipt is worth the moment that a write takes, even if detectors have used all of the time.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if err := j.Recorder.Keep(keep, j.caller.Tenant, r); err != nil {
		return nil, err
	}
	a.Receipt, a.TookMS = r.ID, milliseconds(time.Since(j.begin))
	return a, nil
}

func (s *Service) newJob(c access.Caller, requestID string, req api.OrchestrateRequest) *job {
	return &job{Service: s, caller: c, req: req, requestID: requestID, begin: time.Now(), named: map[*wire.Finding]named{}}
}

// run does what takes time, and decides.
func (j *job) run(ctx context.Context, progress func(float64)) (*Answer, *api.Receipt, error) {
	whole := deadline(j.req, j.policy)
	ctx, cancel := context.WithDeadline(ctx, j.begin.Add(whole))
	defer cancel()
	j.detect(ctx, whole)
	progress(0.7)
	j.label(ctx)
	progress(0.9)
	return j.decide(ctx)
}

// recordTime is what keeping a receipt may take.
const recordTime = time.Second

// prepare finds the policy and what detectors are to see.
func (j *job) prepare() (err error) {
	if j.policy, j.chain, j.notes, err = j.choose(j.caller.Tenant, j.req); err != nil {
		return err
	}
	j.in = detect.Input{Content: j.req.Content, Type: j.req.ContentType}
	if j.in.Type == api.ContentDocument {
		j.in.Content, j.back = content.Text(j.req.Content)
	}
	if j.size = len(j.in.Content); j.in.Type != api.ContentImage {
		j.size = utf8.RuneCountInString(j.in.Content)
	}
	j.steps = j.plan(j.caller.Tenant, j.policy, j.in)
	for _, st := range j.steps {
		if st.skip == "" {
			return nil
		}
	}
	if j.in.Type == api.ContentImage {
		return api.Errorf(api.InvalidRequest, "no detector of the policy takes images; register one that does, and name it in a policy")
	}
	return nil
}

// reserve is the part of the deadline that is kept for mapping and deciding.
func reserve(whole time.Duration) time.Duration { return min(MapperBudget, whole/4) }

// detect asks the detectors, or the cache of what they have said.
func (j *job) detect(ctx context.Context, whole time.Duration) {
	ctx, cancel := context.WithDeadline(ctx, j.begin.Add(whole-reserve(whole)))
	defer cancel()
	var calls []fanout.Call
	var asked []*step
	for _, st := range j.steps {
		if st.skip != "" {
			st.result = fanout.Result{Status: st.skip, Reason: st.reason}
			continue
		}
		c := j.call(st)
		if !st.local && j.cache != nil && j.req.Priority != "critical" {
			st.key = outputKey(j.caller.Tenant, j.in, c.Key)
			if out, ok := j.cache.get(st.key); ok {
				st.cached, st.result = true, fanout.Result{Status: api.StatusOK, Output: out, Scanned: j.size}
				continue
			}
		}
		calls, asked = append(calls, c), append(asked, st)
	}
	for i, r := range j.Pool.Run(ctx, calls) {
		st := asked[i]
		if st.result = r; r.Status == api.StatusOK && st.key != "" {
			j.cache.put(st.key, r.Output)
		}
	}
	if j.in.Type != api.ContentDocument {
		return
	}
	for _, st := range j.steps {
		st.result.Output = j.back.Output(st.result.Output)
	}
}

// label has the findings named by the mapper.
func (j *job) label(ctx context.Context) {
	var said []Said
	var of [][]*wire.Finding
	for _, st := range j.steps {
		findings := st.found()
		if len(findings) == 0 {
			continue
		}
		out := st.result.Output
		out.Findings = nil
		for _, f := range findings {
			out.Findings = append(out.Findings, *f)
		}
		said, of = append(said, Said{st.name, out}), append(of, findings)
	}
	if j.mapping.Status = "none"; len(said) == 0 {
		return
	}
	begin := time.Now()
	results, err := j.Labeller.Label(ctx, j.caller, j.requestID, said)
	j.mapping.TookMS = milliseconds(time.Since(begin))
	if err != nil {
		j.mapping.Status, j.mapping.Reason = "away", err.Error()
		return
	}
	j.mapping.Status = "ok"
	for i, r := range results {
		if r.Mapping == nil {
			j.mapping.Status, j.mapping.Reason = "partial", string(r.Error.Code)
			continue
		}
		j.name(of[i], r.Mapping)
	}
}

// found are the findings of a detector that are not a way to say that there is nothing.
func (st *step) found() []*wire.Finding {
	var out []*wire.Finding
	for i := range st.result.Output.Findings {
		if f := &st.result.Output.Findings[i]; !f.Clean {
			out = append(out, f)
		}
	}
	return out
}

// name takes over what the mapper has said of findings.
func (j *job) name(findings []*wire.Finding, m *api.Mapping) {
	j.mapping.Taxonomy, j.mapping.Model = m.VersionInfo.Taxonomy, m.VersionInfo.Model
	j.controls = append(j.controls, m.Controls...)
	if len(m.Provenance.Findings) != len(findings) {
		j.mapping.Status, j.mapping.Reason = "partial", errShape.Error()
		return
	}
	for i, f := range findings {
		said := m.Provenance.Findings[i]
		j.named[f] = named{said.Labels, said.Confidence, said.Source}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
