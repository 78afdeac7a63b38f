package review

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes of the review queue and of the overrides.
func (s *Store) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/review", access.Review, access.Bounded(s.getProposals))
	r.Handle(fasthttp.MethodPost, "/api/v1/review", access.Review, access.Bounded(s.postDecision))
	r.Handle(fasthttp.MethodGet, "/api/v1/review/history", access.Review, access.Bounded(s.getHistory))
	r.Handle(fasthttp.MethodGet, "/api/v1/overrides", access.Read, access.Bounded(s.getOverrides))
	r.Handle(fasthttp.MethodPost, "/api/v1/overrides", access.Review, access.Bounded(s.postOverride))
	r.Handle(fasthttp.MethodGet, "/api/v1/overrides/export", access.Read, access.Bounded(s.getExport))
	r.Handle(fasthttp.MethodDelete, "/api/v1/overrides/{id}", access.Review, access.Bounded(s.deleteOverride))
}

func (s *Store) getProposals(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	limit, err := web.Limit(rc, 50, api.MaxProposals)
	if err != nil {
		return err
	}
	after, err := api.ParseCursor(string(rc.QueryArgs().Peek("after")))
	if err != nil {
		return err
	}
	state := string(rc.QueryArgs().Peek("state"))
	if state == "" {
		state = "open"
	}
	page, err := s.Proposals(ctx, c.Tenant, state, after, limit)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, page)
}

func (s *Store) postDecision(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	req, err := api.ParseDecide(rc.PostBody())
	if err != nil {
		return err
	}
	n, err := s.Decide(ctx, c, req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.DecideResponse{Decided: n})
}

func (s *Store) getHistory(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	limit, err := web.Limit(rc, 50, api.MaxProposals)
	if err != nil {
		return err
	}
	all, err := s.Decisions(ctx, c.Tenant, limit)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.DecisionsResponse{Decisions: all})
}

func (s *Store) getOverrides(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	all, err := s.List(ctx, c.Tenant, "")
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.OverridesResponse{Overrides: all})
}

func (s *Store) postOverride(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	req, err := api.ParseOverride(rc.PostBody())
	if err != nil {
		return err
	}
	id, err := s.Override(ctx, c, req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusCreated, api.OverrideResponse{ID: id})
}

func (s *Store) getExport(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	detector := string(rc.QueryArgs().Peek("detector"))
	if detector == "" || len(detector) > api.MaxDetector {
		return api.Errorf(api.InvalidRequest, "detector must have 1 to %d bytes", api.MaxDetector)
	}
	patch, err := s.Export(ctx, c.Tenant, detector)
	if err != nil {
		return err
	}
	rc.SetContentType("application/yaml")
	rc.SetBody(patch)
	return nil
}

func (s *Store) deleteOverride(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	if err := s.Remove(ctx, c, web.Param(rc, "id")); err != nil {
		return err
	}
	rc.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
