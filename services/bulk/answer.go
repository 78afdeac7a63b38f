package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/queue"
)

// asked is a pair of detector and output that some lines of a chunk have.
type asked struct {
	req   api.MapRequest
	found json.RawMessage // the mapping, encoded
	event api.Event
	err   *api.Error
}

// answers is what became of a chunk's lines.
type answers struct {
	result []byte // an api.JobLine each
	events []api.Event
	failed int // lines whose answer is an error
}

// answer maps the lines of a chunk. Lines that ask the same have the same answer, from one mapping, and an event each.
func (s *Service) answer(ctx context.Context, w *work) (answers, error) {
	text, err := s.pack.open(w.tenant.Vault, place("input", w.Job, w.Number), w.input)
	if err != nil {
		return answers{}, err
	}
	lines := split(text)
	pairs, _ := s.begun.Get(w.args)
	if !s.begun.Remove(w.args) { // nobody else has it then
		pairs = map[string]*asked{}
	}
	of := make([]*asked, len(lines))
	for i, line := range lines {
		req, err := api.ParseMapRequest(line, w.tenant.ID)
		if err != nil {
			of[i] = &asked{err: api.AsError(err)}
			continue
		}
		pair := req.Detector + "\x00" + req.Output // neither has a NUL
		if pairs[pair] == nil {
			pairs[pair] = &asked{req: req}
		}
		of[i] = pairs[pair]
	}
	group := pool.New().WithContext(engine.Background(ctx)).WithCancelOnError().WithFirstError().WithMaxGoroutines(askedAtOnce)
	for _, a := range pairs {
		if a.found == nil && a.err == nil {
			group.Go(func(ctx context.Context) error { return s.ask(ctx, w, a) })
		}
	}
	if err := group.Wait(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.begun.Add(w.args, pairs) // it comes back, and goes on from here
		}
		return answers{}, err
	}
	return w.collect(of)
}

// ask has one pair mapped. It waits while the model has too much to do, and gives up with the context only; an error
// that belongs to the pair is its answer.
func (s *Service) ask(ctx context.Context, w *work, a *asked) error {
	for failures := 0; ; {
		err := s.guarded(ctx, w, a)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e := api.AsError(err)
		wait := max(e.RetryAfter, 50*time.Millisecond)
		switch e.Code {
		case api.Overloaded, api.RequestTimeout:
		case api.Unavailable:
			return e // it is stopping: another replica goes on
		case api.Internal:
			if failures++; failures == 3 {
				a.err = api.Errorf(api.Internal, "something failed on our side; send the line again")
				return nil
			}
		default:
			a.err = e
			return nil
		}
		if !queue.Pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// guarded maps, and makes an error of a panic, whose value may hold content and must not get to River.
func (s *Service) guarded(ctx context.Context, w *work, a *asked) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("a line of a job", "cause", fmt.Sprintf("panic of type %T at %s", v, debug.Stack()))
			err = errors.New("a panic")
		}
	}()
	begin := time.Now()
	m, err := s.mapper.Map(ctx, w.tenant, a.req, w.view.ModelOnly)
	if err != nil {
		return err
	}
	a.event = s.mapper.Event(access.Caller{Key: &access.Key{ID: w.keyID}, Tenant: w.tenant}, m, begin)
	a.event.RequestID = w.Job
	s.mapper.Show(m, w.view)
	a.found, err = encode(m)
	return err
}

// encode is a mapping as a response has it.
func encode(v any) (json.RawMessage, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a result: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// collect writes the lines of the result in the order of the input.
func (w *work) collect(of []*asked) (answers, error) {
	var out answers
	for i, a := range of {
		line := w.first + int64(i)
		if a.err != nil {
			raw, err := encode(a.err)
			if err != nil {
				return out, err
			}
			out.failed++
			out.result = fmt.Appendf(out.result, "{\"line\":%d,\"error\":%s}\n", line, raw)
			continue
		}
		e := a.event
		e.Item = int(line - 1)
		out.events = append(out.events, e)
		out.result = fmt.Appendf(out.result, "{\"line\":%d,\"mapping\":%s}\n", line, a.found)
	}
	return out, nil
}

// failAll answers every line with one error, where there is no more attempt to be made.
func (w *work) failAll(n int) (answers, error) {
	of := make([]*asked, n)
	e := api.Errorf(api.Internal, "the line was not answered in %d attempts; send it again", attempts)
	for i := range of {
		of[i] = &asked{err: e}
	}
	return w.collect(of)
}
