package audit

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds GET /api/v1/events.
func (f *Feed) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/events", access.Read, access.Bounded(f.handle))
}

func (f *Feed) handle(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	after, err := api.ParseCursor(string(rc.QueryArgs().Peek("after")))
	if err != nil {
		return err
	}
	limit, err := web.Limit(rc, 100, api.MaxEvents)
	if err != nil {
		return err
	}
	events, err := f.Events(ctx, c.Tenant, after, limit)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, events)
}
