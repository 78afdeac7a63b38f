package web

import (
	"bytes"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// pace is how many bytes of a stream must pass within http.read_timeout_ms of waiting for the client; on the way out
// within twelve times that, since the kernel has room for more only when a third of its buffer, which may be megabytes,
// has gone. A slower client only keeps a connection.
const (
	pace = 32 << 10
	deep = 12
)

// prefetched is how much of a body fasthttp has read before it calls us: such a body is whole.
const prefetched = 8 << 10

// HandleStream is Handle, for a path without parameters and a handler that reads the body by Body and not by PostBody. The
// body has no limit but the handler's own.
func (r *Router) HandleStream(method, path, scope string, h Handler) {
	r.Handle(method, path, scope, h)
	r.paths[path][method].stream = true
}

// tooLarge marks a request whose body is refused before any of it is there.
const tooLarge = "X-Too-Large"

// announced looks at the headers of a request. fasthttp waits for the beginning of a body before it calls a handler, and
// one that is announced as too large need not come: it is taken off the request, and nothing behind it is read.
func (r *Router) announced(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	h.Del(tooLarge)
	if h.ContentLength() > api.MaxBody && !r.streams(h) {
		h.SetContentLength(0)
		h.SetConnectionClose()
		h.Del(fasthttp.HeaderExpect)
		h.Set(tooLarge, "1")
	}
	return fasthttp.RequestConfig{}
}

// streams says whether a request is to a route of HandleStream.
func (r *Router) streams(h *fasthttp.RequestHeader) bool {
	path, _, _ := bytes.Cut(h.RequestURI(), []byte("?"))
	found := r.paths[string(path)][string(h.Method())]
	return found != nil && found.stream
}

// receive reads a body to its end for a handler that takes it as a whole.
func receive(rc *fasthttp.RequestCtx) error {
	if len(rc.Request.Header.Peek(tooLarge)) > 0 {
		return incomplete(fasthttp.ErrBodyTooLarge)
	}
	stream, size := rc.RequestBodyStream(), rc.Request.Header.ContentLength()
	if stream == nil || size >= 0 && size <= prefetched {
		return nil
	}
	err := fasthttp.ErrBodyTooLarge
	var body []byte
	if size > 0 && size <= api.MaxBody {
		body = make([]byte, size)
		_, err = io.ReadFull(stream, body)
	} else if size < 0 {
		if body, err = io.ReadAll(io.LimitReader(stream, api.MaxBody+1)); len(body) > api.MaxBody {
			err = fasthttp.ErrBodyTooLarge
		}
	}
	if err != nil {
		rc.SetConnectionClose()
		return incomplete(err)
	}
	rc.Request.SetBodyRaw(body)
	return nil
}

// Body is the body of a request to a route of HandleStream. It must not be read once the handler has returned. Its
// errors are *api.Error: of a client that is too slow or has gone, and of a service that stops.
func Body(rc *fasthttp.RequestCtx) io.Reader {
	r, ok := rc.UserValue(routerKey{}).(*Router)
	from := rc.RequestBodyStream()
	if !ok || from == nil {
		return eof{}
	}
	return &arriving{router: r, rc: rc, from: from, meter: meter{window: r.patience, left: r.patience}}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// meter says how long a client may still keep us waiting.
type meter struct {
	window, left time.Duration
	passed       int // bytes since left was filled up
}

// spent takes account of a wait in which bytes have passed. Our own work between two waits costs the client nothing.
func (m *meter) spent(wait time.Duration, bytes int) {
	m.left -= wait
	if m.passed += bytes; m.passed >= pace {
		m.left, m.passed = m.window, 0
	}
}

// arriving is a body on its way in.
type arriving struct {
	router *Router
	rc     *fasthttp.RequestCtx
	from   io.Reader
	total  int
	meter
}

func (a *arriving) Read(p []byte) (int, error) {
	if a.router.draining.Load() {
		return 0, errStopping()
	}
	begin := time.Now()
	if err := a.rc.SetReadDeadline(begin.Add(a.left)); err != nil {
		return 0, incomplete(err)
	}
	n, err := a.from.Read(p)
	a.spent(time.Since(begin), n)
	if a.total += n; err == io.EOF && a.total < a.rc.Request.Header.ContentLength() { //nolint:errorlint // a reader's EOF is never wrapped
		err = io.ErrUnexpectedEOF // fasthttp says no more than that the client has gone
	}
	if err != nil && err != io.EOF { //nolint:errorlint // a reader's EOF is never wrapped
		a.rc.SetConnectionClose()
		err = incomplete(err)
	}
	return n, err
}

func errStopping() error {
	return api.Errorf(api.Unavailable, "the service is stopping; retry elsewhere")
}

// Stream writes what is read from a source as the response, and closes it. A source that fails, or a client that takes
// too long, breaks the connection off, so that what has come is not taken for the whole.
func Stream(rc *fasthttp.RequestCtx, contentType string, from io.ReadCloser) error {
	r, ok := rc.UserValue(routerKey{}).(*Router)
	if !ok {
		panic("web: no router has this request")
	}
	rc.SetStatusCode(fasthttp.StatusOK)
	rc.SetContentType(contentType)
	rc.Response.SetBodyStream(&leaving{router: r, rc: rc, ReadCloser: from, meter: meter{window: deep * r.patience, left: deep * r.patience}}, -1)
	return nil
}

// leaving is a response on its way out. fasthttp reads from it and writes in between.
type leaving struct {
	io.ReadCloser
	router *Router
	rc     *fasthttp.RequestCtx
	meter
	bytes int       // of the last read
	since time.Time // it ended
}

func (l *leaving) Read(p []byte) (int, error) {
	if l.router.draining.Load() {
		return 0, errStopping()
	}
	if !l.since.IsZero() {
		l.spent(time.Since(l.since), l.bytes)
	}
	n, err := l.ReadCloser.Read(p)
	l.bytes, l.since = n, time.Now()
	if late := l.rc.SetWriteDeadline(l.since.Add(l.left)); late != nil {
		return 0, late
	}
	return n, err
}
