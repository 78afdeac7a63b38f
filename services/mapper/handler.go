package mapper

import (
	"context"

	"github.com/sourcegraph/conc/pool"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// batchAtOnce bounds how many items of a batch are worked on together.
const batchAtOnce = 16

// Register adds the mapper's routes.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodPost, "/api/v1/map", s.handleMap)
	r.Handle(fasthttp.MethodPost, "/api/v1/map/batch", s.handleBatch)
	r.Handle(fasthttp.MethodGet, "/api/v1/taxonomy", s.handleTaxonomy)
}

func (s *Service) handleMap(rc *fasthttp.RequestCtx) error {
	modelOnly, err := source(rc)
	if err != nil {
		return err
	}
	req, err := api.ParseMapRequest(rc.PostBody(), string(rc.Request.Header.Peek("X-Tenant-ID")))
	if err != nil {
		return err
	}
	// Not rc: its Done fires only when the server shuts down, and rc is reused once we return.
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	m, err := s.Map(ctx, req, modelOnly)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, m)
}

func (s *Service) handleBatch(rc *fasthttp.RequestCtx) error {
	modelOnly, err := source(rc)
	if err != nil {
		return err
	}
	req, errs, err := api.ParseMapBatchRequest(rc.PostBody(), string(rc.Request.Header.Peek("X-Tenant-ID")))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	results := make([]api.BatchResult, len(req.Requests))
	group := pool.New().WithMaxGoroutines(batchAtOnce)
	for i, item := range req.Requests {
		group.Go(func() {
			err := errs[i]
			if err == nil {
				results[i].Mapping, err = s.Map(ctx, item, modelOnly)
			}
			if err != nil {
				results[i].Error = api.AsError(err)
			}
		})
	}
	group.Wait()
	return web.JSON(rc, fasthttp.StatusOK, api.MapBatchResponse{Results: results})
}

func (s *Service) handleTaxonomy(rc *fasthttp.RequestCtx) error {
	return web.JSON(rc, fasthttp.StatusOK, api.TaxonomyResponse{
		Version: s.taxonomy.Version, CompatibleWith: s.taxonomy.CompatibleWith, Labels: s.taxonomy.Labels,
	})
}

// source reads ?source=model, the only query there is.
func source(rc *fasthttp.RequestCtx) (modelOnly bool, err error) {
	args := rc.QueryArgs()
	value := string(args.Peek("source"))
	if args.Len() == 0 || args.Len() == 1 && value == "model" {
		return value == "model", nil
	}
	return false, api.Errorf(api.InvalidRequest, "the query may be source=model or nothing")
}
