// Package web is the HTTP plumbing that all services share: routes, errors, metrics, probes, and a server
// with limits that drains. Nothing below a handler sees fasthttp.
package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/trace"
)

// Handler answers one request or returns why not. It must not keep rc, or bytes of it, after it returns.
type Handler func(rc *fasthttp.RequestCtx) error

// Gate lets a request in, or says why not. scope is what its route asks for.
type Gate func(rc *fasthttp.RequestCtx, scope string) error

// Open is the scope of routes that need no gate.
const Open = ""

// Router sends requests to handlers by method and path.
type Router struct {
	log      *slog.Logger
	gate     Gate
	tracer   *trace.Tracer                // nil where nothing is traced
	trusted  []netip.Prefix               // whose X-Forwarded-For and traceparent are believed
	paths    map[string]map[string]*route // path to method
	patterns []pattern                    // the paths that have parameters
	order    []Route
	lost     *route // whatever matches nothing
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	draining atomic.Bool   // set once Serve was told to stop
	patience time.Duration // for pace bytes of a stream; Serve sets it
}

// Route is a method, a path, and the scope that a key needs for it.
type Route struct{ Method, Path, Scope string }

// route is a handler with its metrics, whose labels come from closed sets.
type route struct {
	method, path string // as they were registered
	handle       Handler
	stream       bool // whether the handler reads the body itself
	count        func(status int)
	seconds      prometheus.Observer
	span         trace.Route
}

// pattern is a path with parameters, and its segments.
type pattern struct {
	path     string
	segments []string
}

// maxURI bounds the path with its query. Nothing we serve needs more, and a key of a log or a cache may be made of it.
const maxURI = 2048

// New makes a router for a service; its metrics go to reg. gate is asked on every route that is not Open.
func New(service string, log *slog.Logger, reg prometheus.Registerer, gate Gate) *Router {
	auto := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, reg))
	r := &Router{log: log, gate: gate, paths: map[string]map[string]*route{}}
	r.requests = auto.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered.",
	}, []string{"route", "method", "status"})
	r.seconds = auto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time from the request's arrival to its answer.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 2},
	}, []string{"route", "method"})
	r.lost = r.newRoute("unmatched", "other", nil)
	return r
}

func (r *Router) newRoute(path, method string, h Handler) *route {
	counter := func(status int) prometheus.Counter {
		return r.requests.WithLabelValues(path, method, strconv.Itoa(status))
	}
	ok := sync.OnceValue(func() prometheus.Counter { return counter(fasthttp.StatusOK) })
	return &route{
		method: method, path: path, handle: h, span: trace.NewRoute(method, path),
		seconds: r.seconds.WithLabelValues(path, method),
		count: func(status int) {
			if status == fasthttp.StatusOK { // the usual one is not looked up each time
				ok().Inc()
			} else {
				counter(status).Inc()
			}
		},
	}
}

// Handle registers a handler. A segment of the path in braces is a parameter: /api/v1/keys/{id}. It must not be
// called once the router serves.
func (r *Router) Handle(method, path, scope string, h Handler) {
	if r.paths[path] == nil {
		r.paths[path] = map[string]*route{}
		if strings.Contains(path, "{") {
			r.patterns = append(r.patterns, pattern{path, strings.Split(path, "/")})
		}
	}
	if scope != Open {
		inner := h
		h = func(rc *fasthttp.RequestCtx) error {
			if err := r.gate(rc, scope); err != nil {
				return err
			}
			return inner(rc)
		}
	}
	r.paths[path][method] = r.newRoute(path, method, h)
	r.order = append(r.order, Route{method, path, scope})
}

// Param is the value of a path's parameter, "" if it has none of that name.
func Param(rc *fasthttp.RequestCtx, name string) string {
	v, _ := rc.UserValue(name).(string)
	return v
}

// find returns a request's route, or where there is none, the refusal.
func (r *Router) find(rc *fasthttp.RequestCtx) (*route, error) {
	if len(rc.RequestURI()) > maxURI {
		return r.lost, api.Errorf(api.InvalidRequest, "the path with its query is longer than %d bytes", maxURI)
	}
	methods, path := r.methods(rc)
	if methods == nil {
		return r.lost, api.Errorf(api.NotFound, "there is no such path; see api/openapi.yaml")
	}
	if found := methods[string(rc.Method())]; found != nil {
		return found, nil
	}
	allowed := ""
	for _, known := range r.order {
		if known.Path == path {
			allowed += ", " + known.Method
		}
	}
	rc.Response.Header.Set("Allow", allowed[2:])
	return r.lost, api.Errorf(api.MethodNotAllowed, "this path takes %s", allowed[2:])
}

// methods returns the methods of a path, and the path as it was registered. A path without parameters comes first.
func (r *Router) methods(rc *fasthttp.RequestCtx) (map[string]*route, string) {
	path := string(rc.Path())
	if methods := r.paths[path]; methods != nil && !strings.Contains(path, "{") {
		return methods, path
	}
	if len(r.patterns) == 0 {
		return nil, ""
	}
	segments := strings.Split(path, "/")
	for _, p := range r.patterns {
		if p.match(segments) {
			p.keep(rc, segments)
			return r.paths[p.path], p.path
		}
	}
	return nil, ""
}

// match holds the segments of a path against the pattern's. A parameter is never empty.
func (p pattern) match(segments []string) bool {
	if len(segments) != len(p.segments) {
		return false
	}
	for i, want := range p.segments {
		if parameter := strings.HasPrefix(want, "{"); parameter && segments[i] == "" || !parameter && segments[i] != want {
			return false
		}
	}
	return true
}

// keep leaves the parameters where Param finds them.
func (p pattern) keep(rc *fasthttp.RequestCtx, segments []string) {
	for i, name := range p.segments {
		if strings.HasPrefix(name, "{") {
			rc.SetUserValue(name[1:len(name)-1], segments[i])
		}
	}
}

// Routes lists what was registered.
func (r *Router) Routes() []Route { return r.order }

// ServeHTTP is the fasthttp handler: it finds the route, survives a panic, turns an error into a response,
// counts, and tells the tracer and the log.
func (r *Router) ServeHTTP(rc *fasthttp.RequestCtx) {
	start := time.Now()
	rc.SetUserValue(routerKey{}, r)
	id := requestID(rc)
	rc.Response.Header.Set("X-Request-ID", id)
	found, err := r.find(rc)
	span := r.begin(rc, found)
	if !found.stream {
		if unread := receive(rc); unread != nil {
			err = unread
		}
	}
	if err == nil {
		err = r.guard(found.handle, rc)
	}
	code := api.Code("")
	if err != nil {
		code = r.fail(rc, id, err)
		if found.stream || rc.Response.ConnectionClose() || rc.Request.Header.ConnectionClose() {
			refuse(rc) // nothing says whether a body was read to its end
		}
	}
	if r.draining.Load() {
		rc.SetConnectionClose()
	}
	status, took := rc.Response.StatusCode(), time.Since(start)
	found.count(status)
	found.seconds.Observe(took.Seconds())
	span.Answered(status, string(code), id)
	if ctx := context.Background(); r.log.Enabled(ctx, slog.LevelDebug) {
		r.log.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("request_id", id), slog.String("route", found.path),
			slog.String("method", found.method), slog.Int("status", status), slog.Float64("milliseconds", float64(took.Microseconds())/1000))
	}
}

// guard turns a panic into an error.
func (r *Router) guard(h Handler, rc *fasthttp.RequestCtx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			rc.Response.Reset()
			err = fmt.Errorf("panic of type %T at %s", v, debug.Stack()) // v itself may hold content
		}
	}()
	return h(rc)
}

// fail writes the response for an error, and the log's line; it returns the error's code.
func (r *Router) fail(rc *fasthttp.RequestCtx, id string, err error) api.Code {
	e := *api.AsError(err)
	e.RequestID = id
	rc.Response.Header.Set("X-Request-ID", id)
	if e.RetryAfter > 0 {
		rc.Response.Header.Set("Retry-After", strconv.Itoa(max(1, int(e.RetryAfter.Seconds()+0.999))))
	}
	level := slog.LevelDebug
	if e.Code.Status() >= 500 && e.Code != api.Unavailable {
		level = slog.LevelError
	}
	if ctx := context.Background(); r.log.Enabled(ctx, level) {
		args := []any{"request_id", id, "error_code", string(e.Code), "cause", fmt.Sprint(e.Err)}
		if in := trace.ID(Context(rc)); in != "" {
			args = append(args, "trace_id", in)
		}
		r.log.Log(ctx, level, "request failed", args...)
	}
	writeJSON(rc, e.Code.Status(), e)
	return e.Code
}

// JSON writes v as the response.
func JSON(rc *fasthttp.RequestCtx, status int, v any) error {
	rc.ResetBody()
	enc := json.NewEncoder(rc.Response.BodyWriter()) // it writes once, when all is encoded
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	rc.SetStatusCode(status)
	rc.SetContentType("application/json")
	return nil
}

func writeJSON(rc *fasthttp.RequestCtx, status int, e api.Error) {
	if err := JSON(rc, status, e); err != nil { // an Error always encodes
		rc.SetStatusCode(fasthttp.StatusInternalServerError)
	}
}
