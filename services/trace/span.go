package trace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Route is what the spans of a route have in common. It is made once, not for each request.
type Route struct {
	name    string
	options []oteltrace.SpanStartOption
}

// NewRoute makes a Route. pattern is the path as it was registered, never the path of a request.
func NewRoute(method, pattern string) Route {
	return Route{name: method + " " + pattern, options: []oteltrace.SpanStartOption{
		oteltrace.WithSpanKind(oteltrace.SpanKindServer),
		oteltrace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", pattern)),
	}}
}

// Span is a part of a request, from its start to End. The zero Span records nothing. Names, and what Label and Fail
// get, are from closed sets: a span never holds content.
type Span struct{ span oteltrace.Span }

// Request begins the span of a request, in the trace that traceparent names, or in a new one where it names none. The
// context carries the span; it has no deadline.
func (t *Tracer) Request(r Route, traceparent string) (context.Context, Span) {
	ctx := context.Background()
	if t == nil {
		return ctx, Span{}
	}
	if traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, incoming(traceparent))
	}
	ctx, span := t.spans.Start(ctx, r.name, r.options...)
	return ctx, Span{span}
}

// Child begins a span below the one that ctx carries. It costs nothing where the request is not sampled.
func Child(ctx context.Context, name string) (context.Context, Span) {
	parent := oteltrace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// Int adds a number.
func (s Span) Int(name string, n int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(name, n))
	}
}

// Label adds one value of a closed set.
func (s Span) Label(name, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// Fail marks the span as one that did not do what it should; code is an api.Code, or as closed a set.
func (s Span) Fail(code string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("error.type", code))
		s.span.SetStatus(codes.Error, "")
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Answered ends the span of a request. code is "" where the answer is no error; requestID is the one that the answer
// and the log have. Only a failure of the service marks the span as failed.
func (s Span) Answered(status int, code, requestID string) {
	if s.span == nil || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("request_id", requestID))
	if status >= 500 {
		s.Fail(code)
	} else if code != "" {
		s.Label("error.type", code)
	}
	s.span.End()
}

// ID is the trace that ctx belongs to, in hex; "" if it belongs to none.
func ID(ctx context.Context) string {
	if c := oteltrace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

// Inject gives set the headers of an outgoing request that make its spans part of this trace; none if there is none.
func Inject(ctx context.Context, set func(k, v string)) {
	propagation.TraceContext{}.Inject(ctx, outgoing(set))
}

// incoming is a traceparent as a carrier. It has no tracestate, which is free text of the caller's.
type incoming string

func (h incoming) Get(key string) string {
	if key == "traceparent" {
		return string(h)
	}
	return ""
}

func (incoming) Set(string, string) {}
func (incoming) Keys() []string     { return []string{"traceparent"} }

// outgoing is a function that sets headers as a carrier.
type outgoing func(k, v string)

func (outgoing) Get(string) string { return "" }
func (o outgoing) Set(k, v string) { o(k, v) }
func (outgoing) Keys() []string    { return nil }
