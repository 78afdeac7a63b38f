// Package web is the HTTP plumbing that all services share: routes, errors, metrics, probes, and a server
// with limits that drains. Nothing below a handler sees fasthttp.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// Handler answers one request or returns why not. It must not keep rc, or bytes of it, after it returns.
type Handler func(rc *fasthttp.RequestCtx) error

// Router sends requests to handlers by method and exact path.
type Router struct {
	log      *slog.Logger
	paths    map[string]map[string]*route // path to method
	order    []Route
	lost     *route // whatever matches nothing
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	draining atomic.Bool // set once Serve was told to stop
}

// Route is a method and a path.
type Route struct{ Method, Path string }

// route is a handler with its metrics, whose labels come from closed sets.
type route struct {
	handle  Handler
	count   func(status int)
	seconds prometheus.Observer
}

// New makes a router for a service; its metrics go to reg.
func New(service string, log *slog.Logger, reg prometheus.Registerer) *Router {
	auto := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, reg))
	r := &Router{log: log, paths: map[string]map[string]*route{}}
	r.requests = auto.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered.",
	}, []string{"route", "method", "status"})
	r.seconds = auto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time from the request's arrival to its answer.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 2},
	}, []string{"route", "method"})
	r.lost = r.newRoute("unmatched", "other", func(*fasthttp.RequestCtx) error {
		return api.Errorf(api.NotFound, "there is no such path; see api/openapi.yaml")
	})
	return r
}

func (r *Router) newRoute(path, method string, h Handler) *route {
	return &route{
		handle:  h,
		seconds: r.seconds.WithLabelValues(path, method),
		count:   func(status int) { r.requests.WithLabelValues(path, method, strconv.Itoa(status)).Inc() },
	}
}

// Handle registers a handler. It must not be called once the router serves.
func (r *Router) Handle(method, path string, h Handler) {
	if r.paths[path] == nil {
		r.paths[path] = map[string]*route{}
	}
	r.paths[path][method] = r.newRoute(path, method, h)
	r.order = append(r.order, Route{method, path})
}

// Routes lists what was registered.
func (r *Router) Routes() []Route { return r.order }

// ServeHTTP is the fasthttp handler: it finds the route, survives a panic, turns an error into a response,
// and counts.
func (r *Router) ServeHTTP(rc *fasthttp.RequestCtx) {
	start := time.Now()
	methods := r.paths[string(rc.Path())]
	found := methods[string(rc.Method())]
	if found == nil {
		found = r.lost
	}
	id := requestID(rc)
	rc.Response.Header.Set("X-Request-ID", id)
	err := r.guard(found.handle, rc)
	if found == r.lost && methods != nil {
		allowed := ""
		for _, known := range r.order {
			if known.Path == string(rc.Path()) {
				allowed += ", " + known.Method
			}
		}
		rc.Response.Header.Set("Allow", allowed[2:])
		err = api.Errorf(api.MethodNotAllowed, "this path takes %s", allowed[2:])
	}
	if err != nil {
		r.fail(rc, id, err)
	}
	if r.draining.Load() {
		rc.SetConnectionClose()
	}
	found.count(rc.Response.StatusCode())
	found.seconds.Observe(time.Since(start).Seconds())
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

func (r *Router) fail(rc *fasthttp.RequestCtx, id string, err error) {
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
		r.log.Log(ctx, level, "request failed", "request_id", id, "error_code", string(e.Code), "cause", fmt.Sprint(e.Err))
	}
	writeJSON(rc, e.Code.Status(), e)
}

// JSON writes v as the response.
func JSON(rc *fasthttp.RequestCtx, status int, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	rc.SetStatusCode(status)
	rc.SetContentType("application/json")
	rc.SetBody(body.Bytes())
	return nil
}

func writeJSON(rc *fasthttp.RequestCtx, status int, e api.Error) {
	if err := JSON(rc, status, e); err != nil { // an Error always encodes
		rc.SetStatusCode(fasthttp.StatusInternalServerError)
	}
}
