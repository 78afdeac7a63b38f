package task

import (
	"context"
	"encoding/base64"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes of jobs.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/orchestrate/status", access.Orchestrate, access.Bounded(s.handleList))
	r.Handle(fasthttp.MethodGet, "/api/v1/orchestrate/status/{job_id}", access.Orchestrate, access.Bounded(s.handleGet))
	r.Handle(fasthttp.MethodDelete, "/api/v1/orchestrate/status/{job_id}", access.Orchestrate, access.Bounded(s.handleCancel))
	r.Handle(fasthttp.MethodGet, "/api/v1/orchestrate/webhook-secret", access.Admin, handleSecret)
}

func (s *Service) handleList(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	all, err := s.tasks(ctx, c.Tenant.ID)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.TasksResponse{Jobs: all})
}

func (s *Service) handleGet(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	t, err := s.task(ctx, c.Tenant, web.Param(rc, "job_id"))
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, t)
}

func (s *Service) handleCancel(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	t, err := s.cancel(ctx, c.Tenant, web.Param(rc, "job_id"))
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, t)
}

func handleSecret(rc *fasthttp.RequestCtx) error {
	secret, err := access.CallerOf(rc).Tenant.Vault.Webhooks()
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.WebhookSecret{Secret: "whsec_" + base64.StdEncoding.EncodeToString(secret)})
}
