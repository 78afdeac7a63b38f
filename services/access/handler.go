package access

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes by which an admin manages the keys of the own tenant.
func (s *Store) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/api-keys", Admin, Bounded(s.list))
	r.Handle(fasthttp.MethodPost, "/api/v1/api-keys", Admin, Bounded(s.create))
	r.Handle(fasthttp.MethodPost, "/api/v1/api-keys/{id}/rotate", Admin, Bounded(s.rotate))
	r.Handle(fasthttp.MethodDelete, "/api/v1/api-keys/{id}", Admin, Bounded(s.revoke))
}

// Bounded makes a handler of what works in Postgres for a caller: it has postgres.Deadline, and a client learns when
// Postgres does not answer.
func Bounded(do func(ctx context.Context, rc *fasthttp.RequestCtx, c Caller) error) web.Handler {
	return func(rc *fasthttp.RequestCtx) error {
		ctx, cancel := context.WithTimeout(web.Context(rc), postgres.Deadline)
		defer cancel()
		return postgres.Away(do(ctx, rc, CallerOf(rc)))
	}
}

func (s *Store) list(ctx context.Context, rc *fasthttp.RequestCtx, c Caller) error {
	keys, err := s.Keys(ctx, c.Tenant.ID)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.KeysResponse{Keys: keys})
}

func (s *Store) create(ctx context.Context, rc *fasthttp.RequestCtx, c Caller) error {
	req, err := api.ParseNewKey(rc.PostBody())
	if err != nil {
		return err
	}
	key, k, err := s.CreateKey(ctx, c.Tenant.ID, NewKey{Name: req.Name, Role: req.Role, Scopes: req.Scopes, Expires: time.Duration(req.ExpiresInDays) * 24 * time.Hour})
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusCreated, api.NewKeyResponse{Key: key, APIKey: k})
}

func (s *Store) rotate(ctx context.Context, rc *fasthttp.RequestCtx, c Caller) error {
	req, err := api.ParseRotateKey(rc.PostBody())
	if err != nil {
		return err
	}
	key, k, err := s.Rotate(ctx, c.Tenant.ID, web.Param(rc, "id"), time.Duration(req.GraceMinutes)*time.Minute)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusCreated, api.NewKeyResponse{Key: key, APIKey: k})
}

func (s *Store) revoke(ctx context.Context, rc *fasthttp.RequestCtx, c Caller) error {
	if err := s.Revoke(ctx, c.Tenant.ID, web.Param(rc, "id")); err != nil {
		return err
	}
	rc.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
