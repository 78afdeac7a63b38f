package guard

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Service answers for guards over HTTP.
type Service struct {
	guards  []*Guard
	timeout time.Duration // for one request
}

// New makes a service of guards, which have different names.
func New(guards []*Guard, timeout time.Duration) *Service { return &Service{guards, timeout} }

// Register adds the routes. Where there are no guards they say so.
func (s *Service) Register(r *web.Router) {
	r.Handle(fasthttp.MethodPost, "/v1/chat/completions", access.Map, inBothForms(s.complete))
	r.Handle(fasthttp.MethodGet, "/v1/models", access.Map, inBothForms(s.list))
}

// inBothForms makes errors of a handler errors of OpenAI's API too.
func inBothForms(h web.Handler) web.Handler {
	return func(rc *fasthttp.RequestCtx) error {
		if err := h(rc); err != nil {
			return api.AsChat(err)
		}
		return nil
	}
}

func (s *Service) complete(rc *fasthttp.RequestCtx) error {
	if len(s.guards) == 0 {
		return errNone()
	}
	req, err := api.ParseChatRequest(rc.PostBody())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(s.guards, func(g *Guard) bool { return g.Name() == req.Model })
	if at < 0 {
		return api.ChatErrorf(api.NotFound, "model", "model_not_found", "there is no guard of this name; GET /v1/models lists those that are here")
	}
	g := s.guards[at]
	ctx, cancel := context.WithTimeout(web.Context(rc), s.timeout)
	defer cancel()
	j, err := g.Judge(ctx, req.Messages)
	if err != nil {
		return g.refusal(err)
	}
	return web.JSON(rc, fasthttp.StatusOK, api.ChatCompletion{
		ID: "chatcmpl-" + web.RequestID(rc), Object: "chat.completion", Created: time.Now().Unix(), Model: g.Name(), Fingerprint: g.ID(),
		Choices: []api.ChatChoice{{Message: api.ChatReply{Role: "assistant", Content: j.Text}, FinishReason: "stop", Confidence: j.Confidence}},
		Usage:   api.ChatUsage{Prompt: j.Prompt, Completion: j.Answer, Total: j.Prompt + j.Answer},
	})
}

// refusal says why there is no verdict.
func (g *Guard) refusal(err error) error {
	var e *api.Error
	switch {
	case errors.Is(err, errRole):
		e = api.ChatErrorf(api.InvalidRequest, "messages", "", "this guard judges users only; prompt.roles of its manifest has no assistant")
	case errors.Is(err, engine.ErrTooLong):
		e = api.ChatErrorf(api.InvalidRequest, "messages", "context_length_exceeded",
			"the messages have more tokens than this guard reads, %d with its own text around them (prompt.max_tokens); send less, or parts of it", g.checkpoint.Prompt.MaxTokens)
	case errors.Is(err, engine.ErrBusy):
		e = api.Errorf(api.Overloaded, "more is asked than the guard can answer; retry after the time in Retry-After")
		e.RetryAfter = time.Second
	case errors.Is(err, engine.ErrClosed):
		e = api.Errorf(api.Unavailable, "the service is stopping; retry elsewhere")
	case errors.Is(err, context.DeadlineExceeded):
		e = api.Errorf(api.RequestTimeout, "there was no verdict within guard.timeout_ms; retry, or send less")
	default:
		return err
	}
	e.Err = err
	return e
}

func (s *Service) list(rc *fasthttp.RequestCtx) error {
	if len(s.guards) == 0 {
		return errNone()
	}
	out := api.ModelsResponse{Object: "list"}
	for _, g := range s.guards {
		out.Data = append(out.Data, api.ChatModel{ID: g.Name(), Object: "model", Created: g.loaded.Unix(), OwnedBy: "llama-mapper"})
	}
	return web.JSON(rc, fasthttp.StatusOK, out)
}

func errNone() error {
	return api.Errorf(api.NotFound, "no guard is configured; guard.model_paths of the mapper's settings names their directories")
}
