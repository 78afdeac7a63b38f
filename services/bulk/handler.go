package bulk

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/idempotency"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Register adds the routes of jobs.
func (s *Service) Register(r *web.Router) {
	r.HandleStream(fasthttp.MethodPost, "/api/v1/jobs", access.Map, s.handleCreate)
	r.Handle(fasthttp.MethodGet, "/api/v1/jobs", access.Map, access.Bounded(s.handleList))
	r.Handle(fasthttp.MethodGet, "/api/v1/jobs/{id}", access.Map, access.Bounded(s.handleGet))
	r.Handle(fasthttp.MethodGet, "/api/v1/jobs/{id}/result", access.Map, access.Bounded(s.handleResult))
	r.Handle(fasthttp.MethodDelete, "/api/v1/jobs/{id}", access.Map, access.Bounded(s.handleCancel))
}

func (s *Service) handleCreate(rc *fasthttp.RequestCtx) error {
	view, err := s.mapper.View(rc)
	if err != nil {
		return err
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		e := api.Errorf(api.Overloaded, "%d uploads run already; retry after the time in Retry-After", uploads)
		e.RetryAfter = 5 * time.Second
		return e
	}
	body, err := decoded(rc)
	if err != nil {
		return err
	}
	caller := access.CallerOf(rc)
	once, err := onceOf(rc, caller.Tenant, view)
	if err != nil {
		return err
	}
	id, found, err := s.receive(web.Context(rc), caller, body, view, once)
	if err != nil {
		return postgres.Away(err)
	}
	if found {
		rc.Response.Header.Set("Idempotent-Replayed", "true")
	}
	return access.Bounded(func(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
		j, err := s.job(ctx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		return web.JSON(rc, fasthttp.StatusAccepted, j)
	})(rc)
}

// onceOf stands for a request's Idempotency-Key and query; "" if it has no key. The body is not compared: it may be a
// gigabyte.
func onceOf(rc *fasthttp.RequestCtx, t *access.Tenant, view api.View) (string, error) {
	key := string(rc.Request.Header.Peek("Idempotency-Key"))
	if key == "" {
		return "", nil
	}
	return t.Vault.Digest("job\x00" + key + "\x00" + view.Query()), idempotency.Check(key)
}

// receive makes a job of a body; of a body that does not come to its end nothing stays. The job may have been found, made
// of the same upload before.
func (s *Service) receive(ctx context.Context, caller access.Caller, body io.Reader, view api.View, once string) (id string, found bool, err error) {
	step := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
		defer cancel()
		return do(ctx)
	}
	tenant := caller.Tenant
	if err = step(func(ctx context.Context) error { id, found, err = s.create(ctx, caller, view, once); return err }); err != nil {
		return "", false, err
	}
	if found { // its client may read no answer before all is sent
		_, err = io.Copy(io.Discard, io.LimitReader(body, api.MaxJobBytes))
		return id, true, err
	}
	_, err = cut(body, func(c chunk) error { return step(func(ctx context.Context) error { return s.add(ctx, tenant, id, c) }) })
	if err == nil {
		err = step(func(ctx context.Context) error { return s.start(ctx, tenant.ID, id) })
	}
	if err != nil {
		if left := step(func(ctx context.Context) error { return s.drop(ctx, tenant.ID, id) }); left != nil {
			s.log.Debug("an upload that failed is removed later", "cause", left.Error())
		}
	}
	return id, false, err
}

// decoded is the body without its compression.
func decoded(rc *fasthttp.RequestCtx) (io.Reader, error) {
	body := web.Body(rc)
	switch string(rc.Request.Header.ContentEncoding()) {
	case "", "identity":
		return body, nil
	case "gzip":
		return &unzipped{from: bufio.NewReaderSize(body, 32<<10)}, nil
	}
	return nil, api.Errorf(api.InvalidRequest, "Content-Encoding may be gzip or nothing")
}

// unzipped reads gzip, and says of what is none that it is none. How much may come out of it is for its reader to bound.
type unzipped struct {
	from io.Reader
	in   *gzip.Reader
}

func (u *unzipped) Read(p []byte) (n int, err error) {
	if u.in == nil {
		u.in, err = gzip.NewReader(u.from)
	}
	if err == nil {
		n, err = u.in.Read(p)
	}
	var ours *api.Error
	if err != nil && !errors.As(err, &ours) && (err != io.EOF || u.in == nil) { //nolint:errorlint // a reader's EOF is never wrapped
		err = api.Errorf(api.InvalidRequest, "the body is not gzip, or not all of it")
	}
	return n, err
}

func (s *Service) handleList(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	jobs, err := s.jobs(ctx, c.Tenant.ID)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, api.JobsResponse{Jobs: jobs})
}

func (s *Service) handleGet(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	j, err := s.job(ctx, c.Tenant.ID, web.Param(rc, "id"))
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, j)
}

func (s *Service) handleResult(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	q := rc.QueryArgs()
	partial := string(q.Peek("partial")) == "1"
	if q.Len() > 1 || q.Len() == 1 && !partial {
		return api.Errorf(api.InvalidRequest, "the query may be partial=1 or nothing")
	}
	j, err := s.job(ctx, c.Tenant.ID, web.Param(rc, "id"))
	if err != nil {
		return err
	}
	if j.State != api.JobDone && !partial {
		return api.Errorf(api.Conflict, "the job is %s; partial=1 has the lines that are done", j.State)
	}
	return web.Stream(rc, "application/x-ndjson", &result{Service: s, ctx: web.Context(rc), tenant: c.Tenant, job: j})
}

func (s *Service) handleCancel(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	if err := s.cancel(ctx, c.Tenant.ID, web.Param(rc, "id")); err != nil {
		return err
	}
	rc.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
