package mapper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// tokenizer is what prompts need of a model; *llama.Model is one.
type tokenizer interface {
	Tokenize(text string, special bool) ([]llama.Token, error)
}

// prompt turns a finding into tokens as a checkpoint wants it. The template's own text is tokenised once,
// with its special tokens; a finding's never is: it cannot bring a special token in.
type prompt struct {
	tokenizer tokenizer
	normalize func(string) string
	parts     []part
	kinds     []kind // the last one matches every detector
	most      int    // tokens
}

// part is a piece of the template: literal tokens, or a field.
type part struct {
	tokens []llama.Token
	field  string // "kind", "finding", or "" for a literal
}

type kind struct {
	match  []string
	tokens []llama.Token
}

func newPrompt(t tokenizer, p checkpoint.Prompt) (*prompt, error) {
	out := &prompt{tokenizer: t, most: p.MaxTokens, normalize: func(s string) string { return s }}
	if p.Normalize == "words" {
		out.normalize = normalizeWords
	}
	for rest := p.Template; rest != ""; {
		text, field := rest, ""
		if from := strings.IndexByte(rest, '{'); from >= 0 {
			to := strings.IndexByte(rest, '}')
			if to < from {
				return nil, errors.New("template: a { without its }")
			}
			text, field, rest = rest[:from], rest[from+1:to], rest[to+1:]
		} else {
			rest = ""
		}
		tokens, err := t.Tokenize(text, true)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		if len(tokens) > 0 {
			out.parts = append(out.parts, part{tokens: tokens})
		}
		switch field {
		case "":
		case "kind", "finding":
			out.parts = append(out.parts, part{field: field})
		default:
			return nil, fmt.Errorf("template: {%s} is not {kind} or {finding}", field)
		}
	}
	if !strings.Contains(p.Template, "{finding}") {
		return nil, errors.New("template: it lacks {finding}")
	}
	for _, k := range append(p.Kinds[:len(p.Kinds):len(p.Kinds)], checkpoint.Kind{Kind: p.DefaultKind, Match: []string{""}}) {
		tokens, err := t.Tokenize(k.Kind, true)
		if err != nil {
			return nil, fmt.Errorf("kind %s: %w", k.Kind, err)
		}
		out.kinds = append(out.kinds, kind{match: k.Match, tokens: tokens})
	}
	return out, nil
}

// tokens makes the prompt for what a detector found. It fails with ErrTooLong.
func (p *prompt) tokens(detector, finding string) ([]llama.Token, error) {
	text := p.normalize(finding)
	if len(text) > 32*p.most { // far more than so many tokens; tokenising it would cost more than the model
		return nil, ErrTooLong
	}
	found, err := p.tokenizer.Tokenize(text, false)
	if err != nil {
		return nil, err
	}
	out := make([]llama.Token, 0, len(found)+8)
	for _, part := range p.parts {
		switch part.field {
		case "":
			out = append(out, part.tokens...)
		case "kind":
			out = append(out, p.kind(detector)...)
		case "finding":
			out = append(out, found...)
		}
	}
	if len(out) > p.most {
		return nil, ErrTooLong
	}
	return out, nil
}

func (p *prompt) kind(detector string) []llama.Token {
	detector = strings.ToLower(detector)
	for _, k := range p.kinds {
		for _, word := range k.match {
			if strings.Contains(detector, word) {
				return k.tokens
			}
		}
	}
	return nil
}
