package mapper

import (
	"errors"
	"fmt"
	"strconv"
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
	evidence  *evidence
}

// part is a piece of the template: literal tokens, or a field.
type part struct {
	tokens []llama.Token
	field  string // "kind", "evidence", "finding", or "" for a literal
}

type kind struct {
	match  []string
	tokens []llama.Token
}

// newPrompt compiles a template; e is nil for a checkpoint without a lexicon.
func newPrompt(t tokenizer, p checkpoint.Prompt, e *evidence) (*prompt, error) {
	out := &prompt{tokenizer: t, most: p.MaxTokens, normalize: func(s string) string { return s }, evidence: e}
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
		case "kind", "evidence", "finding":
			out.parts = append(out.parts, part{field: field})
		default:
			return nil, fmt.Errorf("template: {%s} is not {kind}, {evidence} or {finding}", field)
		}
	}
	if !strings.Contains(p.Template, "{finding}") || strings.Contains(p.Template, "{evidence}") != (e != nil) {
		return nil, errors.New("template: it must have {finding}, and {evidence} if there is a lexicon")
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

// read normalises a finding and counts its words. It fails with ErrTooLong.
func (p *prompt) read(finding string) (text string, words int, err error) {
	text = p.normalize(finding)
	if len(text) > 32*p.most { // far more than so many tokens; tokenising it would cost more than the model
		return "", 0, ErrTooLong
	}
	return text, len(strings.Fields(text)), nil
}

// tokens makes the prompt for a finding that has been read. It fails with ErrTooLong.
func (p *prompt) tokens(detector, text string) ([]llama.Token, error) {
	found, err := p.tokenizer.Tokenize(text, false)
	if err != nil {
		return nil, err
	}
	out := make([]llama.Token, 0, len(found)+16)
	for _, part := range p.parts {
		switch part.field {
		case "":
			out = append(out, part.tokens...)
		case "kind":
			out = append(out, p.kind(detector)...)
		case "evidence":
			if out, err = p.evidence.append(out, text); err != nil {
				return nil, err
			}
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

// evidence turns the lexicon's nearest entries into tokens.
type evidence struct {
	lexicon   *lexicon
	most      int // labels
	item      string
	names     []string // of the labels, by number
	codes     []string
	tokenizer tokenizer
	code      [][]llama.Token          // by label, where an item is a code and a grade and nothing else
	grade     map[string][]llama.Token // by grade, likewise
}

func newEvidence(t tokenizer, l *lexicon, e checkpoint.Evidence, names, codes []string) (*evidence, error) {
	out := &evidence{lexicon: l, most: e.Labels, item: e.Item, names: names, codes: codes, tokenizer: t}
	if e.Spelling {
		l.speller = newSpeller(l, func(word string) bool {
			tokens, err := t.Tokenize(word, false)
			return err != nil || len(tokens) == 1
		})
	}
	if e.Item != "{code}{grade}" {
		return out, nil
	}
	out.grade = map[string][]llama.Token{}
	for _, code := range codes {
		tokens, err := t.Tokenize(code, true)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		out.code = append(out.code, tokens)
	}
	for _, g := range grades() {
		tokens, err := t.Tokenize("<"+g+">", true)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		out.grade[g] = tokens
	}
	return out, nil
}

func (e *evidence) render(n near) string {
	return strings.NewReplacer("{code}", e.codes[n.entry.label], "{label}", e.names[n.entry.label], "{entry}", n.entry.text,
		"{grade}", "<"+n.grade()+">", "{percent}", strconv.Itoa(n.score/10)).Replace(e.item)
}

// append adds the evidence for a normalised finding. What is tokenised is the checkpoint's own text.
func (e *evidence) append(to []llama.Token, text string) ([]llama.Token, error) {
	for _, n := range e.lexicon.search(text, e.most) {
		if e.grade != nil {
			to = append(append(to, e.code[n.entry.label]...), e.grade[n.grade()]...)
			continue
		}
		tokens, err := e.tokenizer.Tokenize(e.render(n), true)
		if err != nil {
			return nil, err
		}
		to = append(to, tokens...)
	}
	return to, nil
}
