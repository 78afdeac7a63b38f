package analysis

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/summary", access.Analyze, s.getSummary)
}

func (s *Service) getSummary(rc *fasthttp.RequestCtx) error {
	after := string(rc.QueryArgs().Peek("after"))
	if _, err := api.ParseCursor(after); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), Timeout)
	defer cancel()
	who := Credentials{Key: string(rc.Request.Header.Peek("X-API-Key")), Authorization: string(rc.Request.Header.Peek("Authorization"))}
	summary, err := s.Summarize(ctx, who, after)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, summary)
}
