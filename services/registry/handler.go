package registry

import (
	"context"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Service answers for what is registered.
type Service struct {
	store     *Store
	directory *Directory
	builtin   []detect.Source
	guard     *egress.Guard
	known     policy.Known
}

// New makes a service. builtin are the detectors that all tenants have; guard says what detectors' URLs may be, known
// what policies' rules and programs may be.
func New(s *Store, d *Directory, builtin []detect.Source, guard *egress.Guard, known policy.Known) *Service {
	return &Service{s, d, builtin, guard, known}
}

// Register adds the routes.
func (s *Service) Register(r *web.Router) {
	const detectors, policies = "/api/v1/detectors", "/api/v1/policies"
	r.Handle(fasthttp.MethodGet, detectors, access.Read, s.getDetectors)
	r.Handle(fasthttp.MethodPost, detectors, access.Admin, access.Bounded(s.postDetector))
	r.Handle(fasthttp.MethodGet, detectors+"/{name}", access.Read, access.Bounded(s.getDetector))
	r.Handle(fasthttp.MethodPut, detectors+"/{name}", access.Admin, access.Bounded(s.putDetector))
	r.Handle(fasthttp.MethodDelete, detectors+"/{name}", access.Admin, access.Bounded(s.remove(Detectors)))
	r.Handle(fasthttp.MethodGet, detectors+"/{name}/health", access.Read, s.getHealth)
	r.Handle(fasthttp.MethodGet, detectors+"/{name}/versions", access.Read, access.Bounded(s.versions(Detectors)))
	r.Handle(fasthttp.MethodGet, policies, access.Read, access.Bounded(s.getPolicies))
	r.Handle(fasthttp.MethodPost, policies, access.Admin, access.Bounded(s.postPolicy))
	r.Handle(fasthttp.MethodPost, policies+"/validate", access.Admin, s.postValidate)
	r.Handle(fasthttp.MethodGet, policies+"/{name}", access.Read, access.Bounded(s.getPolicy))
	r.Handle(fasthttp.MethodDelete, policies+"/{name}", access.Admin, access.Bounded(s.remove(Policies)))
	r.Handle(fasthttp.MethodPost, policies+"/{name}/activate", access.Admin, access.Bounded(s.postActivate))
	r.Handle(fasthttp.MethodGet, policies+"/{name}/versions", access.Read, access.Bounded(s.versions(Policies)))
}

// bounded is a handler of what works in Postgres for a caller.
type bounded func(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error

func (s *Service) remove(kind Kind) bounded {
	return func(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
		match, err := matched(rc)
		if err != nil {
			return err
		}
		if err := s.store.Remove(ctx, c, kind, web.Param(rc, "name"), match); err != nil {
			return err
		}
		s.directory.Follow(ctx)
		rc.SetStatusCode(fasthttp.StatusNoContent)
		return nil
	}
}

func (s *Service) versions(kind Kind) bounded {
	return func(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
		all, err := s.store.Versions(ctx, c.Tenant, kind, web.Param(rc, "name"))
		if err != nil {
			return err
		}
		out := api.VersionsResponse{Versions: []api.Registered{}}
		for _, e := range all {
			out.Versions = append(out.Versions, api.Registered{Version: e.Version, Active: e.Version == e.Active, Hash: e.Hash, KeyID: e.KeyID, CreatedAt: e.CreatedAt})
		}
		return web.JSON(rc, fasthttp.StatusOK, out)
	}
}

// matched is the newest version that a caller knows, from If-Match; 0 where it does not say.
func matched(rc *fasthttp.RequestCtx) (int, error) {
	tag := string(rc.Request.Header.Peek("If-Match"))
	if tag == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.Trim(tag, `"`))
	if err != nil || n < 1 {
		return 0, api.Errorf(api.InvalidRequest, "If-Match must be the ETag of the newest version that you have read")
	}
	return n, nil
}

// tag sets the ETag: the newest version.
func tag(rc *fasthttp.RequestCtx, e Entry) {
	rc.Response.Header.Set("ETag", `"`+strconv.Itoa(e.Newest)+`"`)
}

// wanted is the version that a request asks for in its query; 0 where it does not say.
func wanted(rc *fasthttp.RequestCtx) (int, error) {
	v := rc.QueryArgs().Peek("version")
	if v == nil {
		return 0, nil
	}
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 1 || n > 1<<30 {
		return 0, api.Errorf(api.InvalidRequest, "version must be a number from 1 on")
	}
	return n, nil
}

func errUnreadable() error {
	return api.Errorf(api.InvalidRequest, "this release cannot read that version; make a new one")
}

// status is 201 for what was made.
func status(made bool) int {
	if made {
		return fasthttp.StatusCreated
	}
	return fasthttp.StatusOK
}
