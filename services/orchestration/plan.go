package orchestration

import (
	"slices"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/registry"
)

// step is one detector of a policy in one request.
type step struct {
	name   string
	rule   policy.Detector
	source detect.Source // nil if there is none of that name
	local  bool
	skip   api.DetectorStatus // why it is not asked; "" if it is
	reason string
	key    string // of its answer in the cache
	result fanout.Result
	cached bool
}

// plan lists the policy's detectors in the order of their names, and says which of them are asked about content.
func (s *Service) plan(t *access.Tenant, p *policy.Policy, in detect.Input) []*step {
	names := make([]string, 0, len(p.Detectors))
	for name := range p.Detectors {
		names = append(names, name)
	}
	slices.Sort(names)
	steps := make([]*step, len(names))
	for i, name := range names {
		st := &step{name: name, rule: p.Detectors[name]}
		st.source, st.local = s.source(t, name)
		switch {
		case !st.rule.Takes(in.Type):
			st.skip, st.reason = api.StatusSkipped, string(in.Type)
		case st.rule.Excluded:
			st.skip, st.reason = api.StatusSkipped, "excluded"
		case st.source == nil:
			st.skip, st.reason = api.StatusError, "not_registered"
		case !st.source.Takes(in.Type):
			st.skip, st.reason = api.StatusUnsupported, string(in.Type)
		}
		steps[i] = st
	}
	return steps
}

// source finds a detector: a built-in one, or one of the tenant's.
func (s *Service) source(t *access.Tenant, name string) (src detect.Source, local bool) {
	if b, ok := s.builtin[name]; ok {
		return b, true
	}
	for _, d := range s.Registry.Detectors(t.ID) {
		if d.Name() == name {
			return d, false
		}
	}
	return nil, false
}

// call is what the fan-out does for a step. A detector that has had three quarters of the time that the policy gives it,
// whatever the caller does, has had its share.
func (j *job) call(st *step) fanout.Call {
	c := fanout.Call{Source: st.source, Input: j.in, Timeout: time.Duration(st.rule.TimeoutMS) * time.Millisecond, Local: st.local}
	given := time.Duration(j.policy.DeadlineMS) * time.Millisecond
	if given -= reserve(given); c.Timeout > 0 {
		given = min(given, c.Timeout)
	}
	c.Fair = given * 3 / 4
	if d, ok := st.source.(*registry.Registered); ok {
		c.Hedge = d.Idempotent()
	}
	if c.Key = "builtin:" + st.name; !st.local {
		c.Key = j.caller.Tenant.ID + "/" + st.name + "@" + st.source.Version()
	}
	return c
}

// deadline is what a request may take: what the policy says, less if it is critical, more if it is not urgent, and what
// the caller says where that is less.
func deadline(req api.OrchestrateRequest, p *policy.Policy) time.Duration {
	d := time.Duration(p.DeadlineMS) * time.Millisecond
	switch {
	case req.Mode == api.ModeAsync:
		d = api.MaxAsync
	case req.Priority == "critical":
		d = min(d, time.Second)
	case req.Priority == "low":
		d = api.MaxDeadline
	}
	if asked := time.Duration(req.TimeoutMS) * time.Millisecond; asked > 0 {
		d = min(d, asked)
	}
	return d
}
