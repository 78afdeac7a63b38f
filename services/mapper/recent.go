package mapper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/web"
)

const (
	recentAnswers = 4096        // that a process keeps
	recentBody    = 4 << 10     // bytes of a request whose answer is kept, and of what is kept of each
	recentLife    = time.Minute // of one
)

// recent has the answers of the last minute as they were sent: detectors repeat themselves. Nothing is worked out again
// but whether it would be the same, and each has an event of its own.
type recent struct{ kept *lru.Cache[repeat, *sent] }

// repeat is what is asked again: a body, by its hash, of a tenant whose settings are as they were.
type repeat struct {
	tenant *access.Tenant
	body   [sha256.Size]byte
}

// sent is an answer and its event, without what is another's each time.
type sent struct {
	*answer
	ends            time.Time
	response, event form
}

func newRecent() *recent {
	kept, err := lru.New[repeat, *sent](recentAnswers)
	if err != nil {
		panic(err) // only of a size below one
	}
	return &recent{kept}
}

// key is where the answer to a request is kept; ok says whether it may be.
func (r *recent) key(rc *fasthttp.RequestCtx, t *access.Tenant) (key repeat, ok bool) {
	body := rc.PostBody()
	if r == nil || len(body) > recentBody || len(rc.URI().QueryString()) > 0 {
		return key, false
	}
	return repeat{t, sha256.Sum256(body)}, true
}

// of returns what is kept under a key, if everything that it was made with is as it was.
func (r *recent) of(key repeat, s *Service) *sent {
	a, ok := r.kept.Get(key)
	if !ok || time.Now().After(a.ends) || !s.stands(a.answer) {
		return nil
	}
	return a
}

// keep keeps an answer that is sure, and its event.
func (r *recent) keep(key repeat, a *answer, response, event []byte) {
	if a.mapping.Source == api.SourceFallback || len(response)+len(event) > recentBody {
		return
	}
	of := &sent{answer: a, ends: time.Now().Add(recentLife)}
	var err error
	if of.response, err = newForm(response, "ts"); err == nil {
		of.event, err = newForm(event, "time", "request_id", "key_id", "latency_ms")
	}
	if err == nil { // else it is worked out each time
		r.kept.Add(key, of)
	}
}

// forget drops the answers whose time is over.
func (r *recent) forget(now time.Time) {
	for _, key := range r.kept.Keys() {
		if a, ok := r.kept.Peek(key); ok && now.After(a.ends) {
			r.kept.Remove(key)
		}
	}
}

// Run has whole answers leave the memory when their time is over, until ctx ends: they hold what a detector said, and the
// keys of a tenant who may have been deleted.
func (s *Service) Run(ctx context.Context) {
	if s.recent == nil {
		return
	}
	tick := time.NewTicker(recentLife)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.recent.forget(now)
		case <-ctx.Done():
			return
		}
	}
}

// again sends an answer again.
func (h handler) again(rc *fasthttp.RequestCtx, caller access.Caller, a *sent, begin time.Time) error {
	now := time.Now().UTC().Truncate(time.Microsecond)
	at := quoted(now.Format(time.RFC3339Nano))
	event := a.event.fill(nil, at, quoted(web.RequestID(rc)), quoted(caller.Key.ID),
		strconv.FormatFloat(float64(time.Since(begin).Microseconds())/1000, 'f', -1, 64))
	ctx, cancel := context.WithTimeout(web.Context(rc), h.opts.Timeout)
	defer cancel()
	if err := h.recorder.Keep(ctx, caller.Tenant, []audit.Entry{{At: now, JSON: event}}); err != nil {
		return err
	}
	h.note(a.answer)
	h.opts.Cache.hits(a.findings)
	rc.Response.SwapBody(a.response.fill(rc.Response.SwapBody(nil)[:0], at)) // into the response's own buffer
	rc.SetContentType("application/json")
	return nil
}

// quoted is a text that needs no escapes, in JSON.
func quoted(text string) string { return `"` + text + `"` }

// form is a JSON document in pieces; a value is left out between each two.
type form [][]byte

// newForm leaves out the values of keys, each a number or a string without escapes, and each the first of its name after
// the one before. No text of a client is taken for a key: in a string quotes are escaped.
func newForm(doc []byte, keys ...string) (form, error) {
	var f form
	for _, key := range keys {
		name := `"` + key + `":`
		at := bytes.Index(doc, []byte(name))
		if at < 0 {
			return nil, fmt.Errorf("the document has no %s", key)
		}
		at += len(name)
		f = append(f, bytes.Clone(doc[:at]))
		doc = doc[at:]
		if end := bytes.IndexByte(doc[1:], '"') + 2; doc[0] == '"' && end > 1 {
			doc = doc[end:]
		} else {
			doc = doc[max(0, bytes.IndexAny(doc, ",}")):]
		}
	}
	return append(f, bytes.Clone(doc)), nil
}

// fill appends the document with these values, in JSON.
func (f form) fill(to []byte, values ...string) []byte {
	size := 0
	for _, piece := range f {
		size += len(piece)
	}
	for _, value := range values {
		size += len(value)
	}
	to = slices.Grow(to, size)
	for i, piece := range f {
		to = append(to, piece...)
		if i < len(values) {
			to = append(to, values[i]...)
		}
	}
	return to
}
