package web

import (
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// largeAtOnce bounds the bodies above api.MaxBody that a process holds.
const largeAtOnce = 32

// Whole makes a handler of HandleStream one that has its body from PostBody: up to most bytes, which may be more than
// other routes take, and not read before the gate has let the request in.
func Whole(most int, h Handler) Handler {
	large := make(chan struct{}, largeAtOnce)
	return func(rc *fasthttp.RequestCtx) error {
		size := rc.Request.Header.ContentLength()
		if size > most {
			rc.SetConnectionClose()
			return api.Errorf(api.PayloadTooLarge, "the body is larger than %d bytes", most)
		}
		if size > api.MaxBody || size < 0 {
			select {
			case large <- struct{}{}:
				defer func() { <-large }()
			default:
				e := api.Errorf(api.Overloaded, "%d large requests are on their way already; retry after the time in Retry-After", largeAtOnce)
				e.RetryAfter = time.Second
				rc.SetConnectionClose()
				return e
			}
		}
		body, err := io.ReadAll(io.LimitReader(Body(rc), int64(most)+1))
		if err != nil {
			return err
		}
		if len(body) > most {
			rc.SetConnectionClose()
			return api.Errorf(api.PayloadTooLarge, "the body is larger than %d bytes", most)
		}
		rc.Request.SetBodyRaw(body)
		return h(rc)
	}
}
