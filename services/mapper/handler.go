package mapper

import (
	"context"
	"time"

	"github.com/sourcegraph/conc/pool"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// batchAtOnce bounds how many items of a batch are worked on together.
const batchAtOnce = 16

// Recorder has events kept before the response leaves. *audit.Log is one.
type Recorder interface {
	Keep(ctx context.Context, t *access.Tenant, events []audit.Entry) error
}

// Register adds the mapper's routes. Every mapping is recorded. once makes a handler take an Idempotency-Key; nil
// leaves them as they are.
func (s *Service) Register(r *web.Router, recorder Recorder, once func(route string, h web.Handler) web.Handler) {
	h := handler{s, recorder}
	if once == nil {
		once = func(_ string, h web.Handler) web.Handler { return h }
	}
	r.Handle(fasthttp.MethodPost, "/api/v1/map", access.Map, once("POST /api/v1/map", h.mapOne))
	r.Handle(fasthttp.MethodPost, "/api/v1/map/batch", access.Map, once("POST /api/v1/map/batch", h.mapBatch))
	r.Handle(fasthttp.MethodGet, "/api/v1/taxonomy", access.Read, h.listTaxonomy)
	h.registerCompliance(r)
}

type handler struct {
	*Service
	recorder Recorder
}

func (h handler) mapOne(rc *fasthttp.RequestCtx) error {
	begin, caller := time.Now(), access.CallerOf(rc)
	v, err := h.View(rc)
	if err != nil {
		return err
	}
	key, repeats := h.recent.key(rc, caller.Tenant)
	if repeats {
		if a := h.recent.of(key, h.Service); a != nil {
			return h.again(rc, caller, a, begin)
		}
	}
	req, err := api.ParseMapRequest(rc.PostBody(), caller.Tenant.ID)
	if err != nil {
		return err
	}
	// Not rc: its Done fires only when the server shuts down, and rc is reused once we return.
	ctx, cancel := context.WithTimeout(web.Context(rc), h.opts.Timeout)
	defer cancel()
	a, err := h.answer(ctx, caller.Tenant, req, v.ModelOnly)
	if err != nil {
		return err
	}
	e := h.event(caller, a.mapping, begin)
	e.RequestID = web.RequestID(rc)
	entries, err := h.record(ctx, caller.Tenant, []api.Event{e})
	if err != nil {
		return err
	}
	h.Show(a.mapping, v)
	if err := web.JSON(rc, fasthttp.StatusOK, a.mapping); err != nil {
		return err
	}
	if repeats {
		h.recent.keep(key, a, rc.Response.Body(), entries[0].JSON)
	}
	return nil
}

func (h handler) mapBatch(rc *fasthttp.RequestCtx) error {
	begin, caller := time.Now(), access.CallerOf(rc)
	v, err := h.View(rc)
	if err != nil {
		return err
	}
	req, errs, err := api.ParseMapBatchRequest(rc.PostBody(), caller.Tenant.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), h.opts.Timeout)
	defer cancel()
	results := make([]api.BatchResult, len(req.Requests))
	group := pool.New().WithMaxGoroutines(batchAtOnce)
	for i, item := range req.Requests {
		group.Go(func() {
			err := errs[i]
			if err == nil {
				results[i].Mapping, err = h.Map(ctx, caller.Tenant, item, v.ModelOnly)
			}
			if err != nil {
				results[i].Error = api.AsError(err)
			}
		})
	}
	group.Wait()
	var events []api.Event
	for i, r := range results {
		if r.Mapping != nil {
			e := h.event(caller, r.Mapping, begin)
			e.RequestID, e.Item = web.RequestID(rc), i
			events = append(events, e)
		}
	}
	if len(events) > 0 {
		// The items may have used all of the request's time; what they found is worth the moment that a write takes.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.opts.Timeout)
		defer cancel()
		if _, err := h.record(keep, caller.Tenant, events); err != nil {
			return err
		}
	}
	for _, r := range results {
		if r.Mapping != nil {
			h.Show(r.Mapping, v)
		}
	}
	return web.JSON(rc, fasthttp.StatusOK, api.MapBatchResponse{Results: results})
}

// record has events kept, and returns them as they are kept.
func (h handler) record(ctx context.Context, t *access.Tenant, events []api.Event) ([]audit.Entry, error) {
	entries, err := audit.Entries(events)
	if err != nil {
		return nil, err
	}
	return entries, h.recorder.Keep(ctx, t, entries)
}

func (h handler) listTaxonomy(rc *fasthttp.RequestCtx) error {
	t := h.taxonomy
	return web.JSON(rc, fasthttp.StatusOK, api.TaxonomyResponse{Version: t.Version, CompatibleWith: t.CompatibleWith, Labels: t.Labels})
}
