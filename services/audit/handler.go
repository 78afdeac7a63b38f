package audit

import (
	"context"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds GET /api/v1/events.
func (f *Feed) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/events", access.Read, f.handle)
}

func (f *Feed) handle(rc *fasthttp.RequestCtx) error {
	args := rc.QueryArgs()
	after, err := api.ParseCursor(string(args.Peek("after")))
	if err != nil {
		return err
	}
	limit := 100
	if v := args.Peek("limit"); v != nil {
		if limit, err = strconv.Atoi(string(v)); err != nil || limit < 1 || limit > api.MaxEvents {
			return api.Errorf(api.InvalidRequest, "limit must be 1 to %d", api.MaxEvents)
		}
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), postgres.Deadline)
	defer cancel()
	events, err := f.Events(ctx, access.CallerOf(rc).Tenant, after, limit)
	if err != nil {
		return postgres.Away(err)
	}
	return web.JSON(rc, fasthttp.StatusOK, events)
}
