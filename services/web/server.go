package web

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/llama-mapper/llama-mapper/api"
)

// Options bounds a server.
type Options struct {
	ReadTimeout  time.Duration // for a whole request to arrive
	WriteTimeout time.Duration // for a response to leave
	IdleTimeout  time.Duration // between requests of a connection
	DrainTimeout time.Duration // for running requests to end after a stop
	Connections  int           // open at once; one address has half of them at most, see fairListener

	TLSCert, TLSKey string // PEM files, followed when they change; both "" for plain HTTP
}

// maxHeader bounds the request line and the headers together.
const maxHeader = 8 << 10

// Part is something that the service rests on, and its state.
type Part struct {
	Name   string
	Err    error // why it does not work; its text is shown to anyone
	Needed bool  // whether the service cannot answer without it
}

// Probes registers GET /health, /ready and /metrics. /ready has a line for each part and is 503 while a needed one
// does not work, and while Serve drains, so that no new traffic is sent here.
func (r *Router) Probes(parts func() []Part, metrics prometheus.Gatherer) {
	r.Handle(fasthttp.MethodGet, "/health", Open, func(rc *fasthttp.RequestCtx) error {
		return JSON(rc, fasthttp.StatusOK, map[string]string{"status": "ok"})
	})
	r.Handle(fasthttp.MethodGet, "/ready", Open, func(rc *fasthttp.RequestCtx) error {
		state, status, failed := map[string]string{}, "ready", ""
		for _, p := range parts() {
			state[p.Name] = "ok"
			if p.Err != nil {
				state[p.Name], status = p.Err.Error(), "degraded"
			}
			if p.Err != nil && p.Needed {
				failed += fmt.Sprintf("%s: %v; ", p.Name, p.Err)
			}
		}
		switch {
		case r.draining.Load():
			return api.Errorf(api.Unavailable, "the service is stopping")
		case failed != "":
			return api.Errorf(api.Unavailable, "not ready: %s", strings.TrimSuffix(failed, "; "))
		}
		return JSON(rc, fasthttp.StatusOK, map[string]any{"status": status, "parts": state})
	})
	scrape := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	r.Handle(fasthttp.MethodGet, "/metrics", Open, func(rc *fasthttp.RequestCtx) error {
		scrape(rc)
		return nil
	})
}

// Serve answers on ln until ctx ends, then lets running requests end, closes every connection, and returns.
func (r *Router) Serve(ctx context.Context, ln net.Listener, o Options) error {
	ln = newFairListener(ln, o.Connections, r.trusts, r.log)
	if o.TLSCert != "" || o.TLSKey != "" {
		cert, err := loadCertificate(o.TLSCert, o.TLSKey, r.log)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		ln = tls.NewListener(ln, cert.config())
	}
	s := &fasthttp.Server{
		Handler: r.ServeHTTP, ErrorHandler: r.malformed, HeaderReceived: r.announced,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, IdleTimeout: o.IdleTimeout,
		Concurrency: o.Connections, MaxRequestBodySize: api.MaxBody, StreamRequestBody: true, ReadBufferSize: maxHeader,
		DisablePreParseMultipartForm: true, // nobody takes forms; parsing one costs more memory than its bytes
		NoDefaultServerHeader:        true, NoDefaultContentType: true, CloseOnShutdown: true,
		Logger: quiet{},
	}
	r.patience = o.ReadTimeout
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	r.draining.Store(true)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.DrainTimeout)
	defer cancel()
	err := s.ShutdownWithContext(stop)
	_ = ln.Close() // Shutdown leaves it open if Serve has not begun, which then would not end
	if err == nil {
		err = <-failed
	}
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// malformed answers what is not a request at all.
func (r *Router) malformed(rc *fasthttp.RequestCtx, err error) {
	e := incomplete(err)
	e.RequestID = newID()
	rc.Response.Header.Set("X-Request-ID", e.RequestID)
	writeJSON(rc, e.Code.Status(), *e)
	r.lost.count(e.Code.Status())
	r.log.Debug("not a request", "request_id", e.RequestID, "status", e.Code.Status())
	rc.SetConnectionClose()
	refuse(rc)
}

// incomplete is what a client is told whose request could not be read to its end.
func incomplete(err error) *api.Error {
	var network net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return api.Errorf(api.PayloadTooLarge, "the body is larger than %d bytes", api.MaxBody)
	case errors.As(err, &network) && network.Timeout():
		return api.Errorf(api.RequestTimeout, "the request did not arrive in time")
	}
	return api.Errorf(api.InvalidRequest, "this is not a complete HTTP/1.1 request with headers under 8 KB")
}

// quiet drops fasthttp's own log: its lines quote what clients send.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// requestID takes the client's X-Request-ID if it is harmless, or makes one.
func requestID(rc *fasthttp.RequestCtx) string {
	id := rc.Request.Header.Peek("X-Request-ID")
	if len(id) == 0 || len(id) > 64 {
		return newID()
	}
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return newID()
		}
	}
	return string(id)
}

func newID() string { return rand.Text() }
