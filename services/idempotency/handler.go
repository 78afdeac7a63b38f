package idempotency

import (
	"bytes"
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// patience is what Redis may take of a request's time.
const patience = 100 * time.Millisecond

// Wrap gives a handler behind a gate the header Idempotency-Key. route is its method and pattern. A
// response that is sent again has the header Idempotent-Replayed.
func (s *Store) Wrap(route string, h web.Handler) web.Handler {
	return func(rc *fasthttp.RequestCtx) error {
		key := rc.Request.Header.Peek("Idempotency-Key")
		if len(key) == 0 {
			return h(rc)
		}
		t := access.CallerOf(rc).Tenant
		ctx, cancel := context.WithTimeout(web.Context(rc), patience)
		defer cancel()
		r, err := s.Begin(ctx, Request{
			Tenant: t.ID, Route: route, Key: string(key), Vault: t.Vault,
			Body: bytes.Join([][]byte{rc.URI().QueryString(), rc.PostBody()}, []byte{0}),
		})
		if err != nil {
			return err
		}
		if r.Found {
			rc.Response.Header.Set("Idempotent-Replayed", "true")
			rc.SetContentType("application/json")
			rc.SetStatusCode(r.Status)
			rc.SetBody(r.Body)
			return nil
		}
		defer func() { // after an error or a panic; after Finish it does nothing
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			r.Abandon(last)
		}()
		if err := h(rc); err != nil {
			return err
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		r.Finish(last, rc.Response.StatusCode(), rc.Response.Body())
		return nil
	}
}
