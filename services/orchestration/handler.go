package orchestration

import (
	"context"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// batchAtOnce bounds how many requests of a batch are worked on together.
const batchAtOnce = 4

// Register adds the routes. once makes a handler take an Idempotency-Key; nil leaves them as they are.
func (s *Service) Register(r *web.Router, once func(route string, h web.Handler) web.Handler) {
	if once == nil {
		once = func(_ string, h web.Handler) web.Handler { return h }
	}
	post := func(path string, h web.Handler) {
		r.HandleStream(fasthttp.MethodPost, path, access.Orchestrate, web.Whole(api.MaxOrchestrateBody, once("POST "+path, s.admit(h))))
	}
	post("/api/v1/orchestrate", s.postOrchestrate)
	post("/api/v1/orchestrate/batch", s.postBatch)
	post("/api/v1/text/contents", s.Contents.post)
}

// admit refuses a request where as many as may be are worked on.
func (s *Service) admit(h web.Handler) web.Handler {
	return func(rc *fasthttp.RequestCtx) error {
		select {
		case s.working <- struct{}{}:
			defer func() { <-s.working }()
			return h(rc)
		default:
			e := api.Errorf(api.Overloaded, "as many requests as orchestration.in_flight allows are worked on; retry after the time in Retry-After")
			e.RetryAfter = time.Second
			return e
		}
	}
}

func (s *Service) postOrchestrate(rc *fasthttp.RequestCtx) error {
	caller := access.CallerOf(rc)
	req, err := api.ParseOrchestrateRequest(rc.PostBody(), caller.Tenant.ID)
	if err != nil {
		return err
	}
	j := s.newJob(caller, web.RequestID(rc), req)
	if err := j.prepare(); err != nil {
		return err
	}
	if req.Mode == api.ModeAsync || req.Mode == api.ModeAuto && j.slow() {
		task, err := s.submit(web.Context(rc), caller, req)
		if err != nil {
			return err
		}
		rc.Response.Header.Set("Location", "/api/v1/orchestrate/status/"+task.ID)
		return web.JSON(rc, fasthttp.StatusAccepted, task)
	}
	a, err := j.finish(web.Context(rc))
	if err != nil {
		return err
	}
	return respond(rc, a)
}

// respond says the decision in the headers too: a proxy acts on it without reading the body.
func respond(rc *fasthttp.RequestCtx, a *Answer) error {
	h := &rc.Response.Header
	h.Set("X-Decision", string(a.Decision))
	if len(a.FailOpen) > 0 {
		h.Set("X-Fail-Open", strings.Join(a.FailOpen, ","))
	}
	return web.JSON(rc, a.status(), a)
}

// status is 206 where less was covered than the policy wants.
func (a *Answer) status() int {
	if !a.Coverage.Met {
		return fasthttp.StatusPartialContent
	}
	return fasthttp.StatusOK
}

// BatchAnswer has a result for each request of a batch, in their order.
type BatchAnswer struct {
	Results []BatchResult `json:"results"`
}

// BatchResult is one request's answer or its error.
type BatchResult struct {
	Answer *Answer    `json:"answer,omitempty"`
	Error  *api.Error `json:"error,omitempty"`
}

func (s *Service) postBatch(rc *fasthttp.RequestCtx) error {
	caller, id := access.CallerOf(rc), web.RequestID(rc)
	req, errs, err := api.ParseOrchestrateBatchRequest(rc.PostBody(), caller.Tenant.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), api.MaxAsync)
	defer cancel()
	out := BatchAnswer{Results: make([]BatchResult, len(req.Requests))}
	group := pool.New().WithMaxGoroutines(batchAtOnce)
	for i, item := range req.Requests {
		group.Go(func() {
			err := errs[i]
			if err == nil {
				out.Results[i].Answer, err = s.Orchestrate(ctx, caller, id, item)
			}
			if err != nil {
				out.Results[i].Error = api.AsError(err)
			}
		})
	}
	group.Wait()
	return web.JSON(rc, fasthttp.StatusOK, out)
}
