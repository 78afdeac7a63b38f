package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// remote is a mapper to ask over HTTP.
type remote struct {
	url, key string
	patience time.Duration // with a server that neither takes nor sends a byte
}

// do sends a request. Its response is a success, and its body is the caller's to close.
func (r remote) do(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{patience: r.patience, cancel: cancel}
	w.timer = time.AfterFunc(r.patience, func() { cancel(fmt.Errorf("%s does not answer; nothing came for %s", r.url, r.patience)) })
	res, err := r.send(ctx, w, method, path, body, headers)
	if err != nil {
		w.end()
		return nil, w.why(ctx, err)
	}
	res.Body = &incoming{ctx, res.Body, w}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var e api.Error
	if raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil || json.Unmarshal(raw, &e) != nil || e.Code == "" {
		return nil, fmt.Errorf("%s answered %s", r.url, res.Status)
	}
	return nil, &e
}

func (r remote) send(ctx context.Context, w *watch, method, path string, body io.Reader, headers []string) (*http.Response, error) {
	if body != nil {
		body = &outgoing{body, w}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.url, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", r.key)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(req)
}

// watch ends a request whose server keeps us waiting. Time that we take ourselves does not count.
type watch struct {
	patience time.Duration
	timer    *time.Timer
	cancel   context.CancelCauseFunc
}

func (w *watch) end() { w.timer.Stop(); w.cancel(nil) }

// why is the cause of an error that ctx has led to.
func (w *watch) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && err != io.EOF && cause != nil && !errors.Is(cause, context.Canceled) { //nolint:errorlint // a reader's EOF is never wrapped
		return cause
	}
	return err
}

// outgoing is a request's body: while it is not read, the server does not take what there is.
type outgoing struct {
	from io.Reader
	*watch
}

func (o *outgoing) Read(p []byte) (int, error) {
	o.timer.Stop()
	defer o.timer.Reset(o.patience)
	return o.from.Read(p)
}

// incoming is a response's body: while it is read, the server does not send.
type incoming struct {
	ctx  context.Context
	from io.ReadCloser
	*watch
}

func (i *incoming) Read(p []byte) (int, error) {
	i.timer.Reset(i.patience)
	defer i.timer.Stop()
	n, err := i.from.Read(p)
	return n, i.why(i.ctx, err)
}

func (i *incoming) Close() error {
	i.end()
	return i.from.Close()
}

// get sends a request and reads the JSON that comes back.
func (r remote) get(ctx context.Context, method, path string, body io.Reader, into any, headers ...string) error {
	res, err := r.do(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(into)
}

// tries is how often a request is sent: with patience of half a minute they take four minutes if they fail at once, in
// which a server may start again.
const tries = 20

// persist does what may be done again until it succeeds, or fails for good: what the server refuses, and what the local
// disk does, does not change.
func (r remote) persist(ctx context.Context, note func(string), do func() error) error {
	pause := r.patience / 30
	for n := 1; ; n++ {
		err := do()
		var refused *api.Error
		var local *fs.PathError
		if err == nil || errors.As(err, &refused) && !refused.Retryable || errors.As(err, &local) || ctx.Err() != nil {
			return err
		}
		if n == tries {
			return fmt.Errorf("given up after %d tries: %w", n, err)
		}
		note("waiting: " + err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, r.patience/2)
	}
}
