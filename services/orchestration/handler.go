package orchestration

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodPost, "/api/v1/text/contents", access.Orchestrate, s.postContents)
}

func (s *Service) postContents(rc *fasthttp.RequestCtx) error {
	detectors, err := s.Chosen(string(rc.Request.Header.Peek("detector-id")))
	if err != nil {
		return err
	}
	req, err := api.ParseContents(rc.PostBody())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), Timeout)
	defer cancel()
	found, err := s.Detect(ctx, detectors, req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, found)
}
