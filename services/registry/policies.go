package registry

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/web"
)

func describe(e Entry) api.PolicyInfo {
	return api.PolicyInfo{Name: e.Name, Version: e.Version, Newest: e.Newest, Active: e.Active, Hash: e.Hash, KeyID: e.KeyID, CreatedAt: &e.CreatedAt}
}

// shipped describes the floor of tenants that have none of their own.
func (s *Service) shipped() api.PolicyInfo {
	return api.PolicyInfo{Name: Floor, Hash: s.directory.shipped.Hash()}
}

func (s *Service) getPolicies(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	all, err := s.store.List(ctx, c.Tenant, Policies)
	if err != nil {
		return err
	}
	out := api.PoliciesResponse{Policies: []api.PolicyInfo{}}
	own := false
	for _, e := range all {
		own = own || e.Name == Floor
		out.Policies = append(out.Policies, describe(e))
	}
	if !own {
		out.Policies = append([]api.PolicyInfo{s.shipped()}, out.Policies...)
	}
	return web.JSON(rc, fasthttp.StatusOK, out)
}

func (s *Service) getPolicy(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	version, err := wanted(rc)
	if err != nil {
		return err
	}
	name := web.Param(rc, "name")
	e, err := s.store.Get(ctx, c.Tenant, Policies, name, version)
	if err != nil && name == Floor && version == 0 && api.AsError(err).Code == api.NotFound {
		out := s.shipped()
		out.Policy = string(s.directory.text)
		return web.JSON(rc, fasthttp.StatusOK, out)
	}
	if err != nil {
		return err
	}
	out := describe(e)
	out.Policy = string(e.Text)
	tag(rc, e)
	return web.JSON(rc, fasthttp.StatusOK, out)
}

func (s *Service) postPolicy(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	match, err := matched(rc)
	if err != nil {
		return err
	}
	activate := string(rc.QueryArgs().Peek("activate"))
	if activate != "" && activate != "true" && activate != "false" {
		return api.Errorf(api.InvalidRequest, "activate must be true or false")
	}
	text := bytes.Clone(rc.PostBody())
	p, err := s.parse(text)
	if err != nil {
		return err
	}
	e, made, err := s.store.Put(ctx, c, Policies, p.Name, Change{Match: match, Activate: activate != "false", Make: func(*Entry) ([]byte, string, error) {
		return text, p.Hash(), nil
	}})
	if err != nil {
		return err
	}
	s.directory.Follow(ctx)
	tag(rc, e)
	return web.JSON(rc, status(made), describe(e))
}

func (s *Service) postActivate(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	match, err := matched(rc)
	if err != nil {
		return err
	}
	req, err := api.ParseActivate(rc.PostBody())
	if err != nil {
		return err
	}
	name := web.Param(rc, "name")
	e, err := s.store.Get(ctx, c.Tenant, Policies, name, req.Version)
	if err != nil {
		return err
	}
	if _, err := s.parse(e.Text); err != nil {
		return errUnreadable()
	}
	if e, err = s.store.Activate(ctx, c, Policies, name, req.Version, match); err != nil {
		return err
	}
	s.directory.Follow(ctx)
	tag(rc, e)
	return web.JSON(rc, fasthttp.StatusOK, describe(e))
}

// parse reads a policy whose programs compile.
func (s *Service) parse(text []byte) (*policy.Policy, error) {
	p, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, program := range p.Programs() {
		if err := s.known.Programs(program); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// postValidate says what is wrong with a policy, and what is doubtful. Nothing is kept.
func (s *Service) postValidate(rc *fasthttp.RequestCtx) error {
	out := api.PolicyReport{Faults: []string{}, Findings: []string{}}
	for _, problem := range policy.Lint("", rc.PostBody(), s.known) {
		into := &out.Findings
		if problem.Rule == "syntax" || problem.Rule == "rego" {
			into = &out.Faults
		}
		*into = append(*into, fmt.Sprintf("line %d: %s (%s)", problem.Line, problem.Text, problem.Rule))
	}
	if p, err := policy.Parse(rc.PostBody()); err == nil {
		if !naming.MatchString(p.Name) {
			out.Faults = append(out.Faults, errName().Message)
		}
		out.Findings = append(out.Findings, s.lost(access.CallerOf(rc).Tenant.ID, p)...)
		out.Hash = p.Hash()
	}
	out.Valid = len(out.Faults) == 0
	return web.JSON(rc, fasthttp.StatusOK, out)
}

// lost says what a policy names that a tenant does not have.
func (s *Service) lost(tenant string, p *policy.Policy) (out []string) {
	own := s.directory.Detectors(tenant)
	for _, name := range slices.Sorted(maps.Keys(p.Detectors)) {
		if _, ok := s.isBuiltin(name); !ok && !slices.ContainsFunc(own, func(d *Registered) bool { return d.Name() == name }) {
			out = append(out, fmt.Sprintf("detectors.%s: there is no detector of that name, so it never answers; register it, or take it out", name))
		}
	}
	if name := p.Shadow.Policy; name != "" {
		if _, _, err := s.directory.Policy(tenant, name); err != nil {
			out = append(out, fmt.Sprintf("shadow.policy: there is no policy %s in force", name))
		}
	}
	return out
}
