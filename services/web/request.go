package web

import "github.com/valyala/fasthttp"

// RequestID is the id of the request that a handler answers.
func RequestID(rc *fasthttp.RequestCtx) string {
	return string(rc.Response.Header.Peek("X-Request-ID"))
}
