package web

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/services/trace"
)

// contextKey is where a request's context is kept.
type contextKey struct{}

// Trace makes a span for each request that is sampled; a nil Tracer makes none. It must not be called once the router
// serves.
func (r *Router) Trace(t *trace.Tracer) { r.tracer = t }

// Context is the context of a request: it carries the request's span, and neither ends nor has a deadline. What a
// handler calls must get this, and never rc, which is used again after the handler has returned.
func Context(rc *fasthttp.RequestCtx) context.Context {
	if ctx, ok := rc.UserValue(contextKey{}).(context.Context); ok {
		return ctx
	}
	return context.Background()
}

// begin starts the span of a request. A caller that is not a trusted proxy could put its requests into any trace, and
// have them all sampled: what it sends is not read.
func (r *Router) begin(rc *fasthttp.RequestCtx, found *route) trace.Span {
	if r.tracer == nil {
		return trace.Span{}
	}
	parent := ""
	if r.trusts(peer(rc)) {
		parent = string(rc.Request.Header.Peek("traceparent"))
	}
	ctx, span := r.tracer.Request(found.span, parent)
	rc.SetUserValue(contextKey{}, ctx)
	return span
}
