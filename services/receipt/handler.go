package receipt

import (
	"context"
	"crypto/ed25519"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes of receipts.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/receipts", access.Read, access.Bounded(s.getAll))
	r.Handle(fasthttp.MethodGet, "/api/v1/receipts/key", access.Read, s.getKey)
	r.Handle(fasthttp.MethodGet, "/api/v1/receipts/{id}", access.Read, access.Bounded(s.getOne))
	r.Handle(fasthttp.MethodPost, "/api/v1/receipts/{id}/replay", access.Read, access.Bounded(s.postReplay))
	r.Handle(fasthttp.MethodPost, "/api/v1/replay", access.Read, access.Bounded(s.postRange))
}

func (s *Service) getAll(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	after, err := api.ParseCursor(string(rc.QueryArgs().Peek("after")))
	if err != nil {
		return err
	}
	limit, err := web.Limit(rc, 50, api.MaxReceipts)
	if err != nil {
		return err
	}
	page, err := s.List(ctx, c.Tenant, after, limit)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, page)
}

func (s *Service) getKey(rc *fasthttp.RequestCtx) error {
	public := ed25519.PublicKey(s.key[ed25519.SeedSize:])
	return web.JSON(rc, fasthttp.StatusOK, api.ReceiptKey{KeyID: KeyID(public), Algorithm: "Ed25519", PublicKey: public})
}

func (s *Service) getOne(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	payload, err := s.Get(ctx, c.Tenant, web.Param(rc, "id"))
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, Sign(s.key, payload))
}

func (s *Service) postReplay(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	req, err := api.ParseReplay(rc.PostBody())
	if err != nil {
		return err
	}
	out, err := s.Replay(ctx, c.Tenant, web.Param(rc, "id"), req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, out)
}

func (s *Service) postRange(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	req, after, err := api.ParseReplayRange(rc.PostBody())
	if err != nil {
		return err
	}
	out, err := s.ReplayRange(ctx, c.Tenant, after, req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, out)
}
