package remote

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// guards are the formats of models that judge content in a chat, with an answer that is read so for their names only.
var guards = []struct{ vendor, answer string }{{"llama-guard", "safe"}, {"nemoguard", "Prompt harm: unharmful"}, {"granite-guardian", "No"}}

// maxTokens is more than a verdict has.
const maxTokens = 100

// chat is a model that judges content, such as Llama Guard, behind an OpenAI-compatible endpoint, which puts the user's
// message into the model's own prompt.
type chat struct {
	model, template, guard string
	vendor                 string // that the guard's answers are read as
}

func newChat(s *Spec) (protocol, []error) {
	p := chat{model: s.Model, template: s.Template, guard: s.Params.Guard}
	var errs []error
	if p.model == "" {
		errs = append(errs, errors.New("model: a detector of this kind needs it"))
	}
	if p.guard == "" {
		p.guard = p.model
	}
	for _, g := range guards {
		if _, err := of(p.guard, g.answer, g.vendor); err == nil {
			p.vendor = g.vendor
		}
	}
	if p.vendor == "" {
		errs = append(errs, errors.New("params.guard: the model's name says no guard that is known here; set it to llama-guard-1, -2 or -3, nemoguard or granite-guardian"))
	}
	if p.template == "" {
		p.template = contentPlace
	}
	if !strings.Contains(p.template, contentPlace) {
		errs = append(errs, errors.New("template: it must have "+contentPlace))
	}
	return p, errs
}

func (chat) query() url.Values { return nil }

func (p chat) body(in detect.Input) any {
	var content any
	if in.Type == api.ContentImage {
		content = []any{imagePart(in.Content)}
	} else {
		content = strings.ReplaceAll(p.template, contentPlace, in.Content)
	}
	return map[string]any{
		"model": p.model, "messages": []any{map[string]any{"role": "user", "content": content}}, "temperature": 0, "max_tokens": maxTokens, "stream": false,
	}
}

// read takes a whole verdict in the guard's form. Other text may quote the content.
func (p chat) read(_ detect.Input, answer string) (wire.Output, error) {
	var doc struct {
		Choices []struct {
			Message struct{ Content string }
			Finish  string `json:"finish_reason"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &doc); err != nil || len(doc.Choices) != 1 || doc.Choices[0].Finish == "length" {
		return wire.Output{}, wire.ErrShape
	}
	out, err := of(p.guard, doc.Choices[0].Message.Content, p.vendor)
	if slices.ContainsFunc(out.Findings, func(f wire.Finding) bool { return !wire.IsName(f.Native) }) {
		return wire.Output{}, wire.ErrShape
	}
	return out, err
}
