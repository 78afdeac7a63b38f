package remote

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// openAI is the moderation endpoint of OpenAI, and of what copies it.
type openAI struct{ model string }

func newOpenAI(s *Spec) (protocol, []error) {
	return openAI{cmp.Or(s.Model, "omni-moderation-latest")}, nil
}

func (openAI) query() url.Values { return nil }

func (p openAI) body(in detect.Input) any {
	var input any = in.Content
	if in.Type == api.ContentImage {
		input = []any{imagePart(in.Content)}
	}
	return map[string]any{"model": p.model, "input": input}
}

func (openAI) read(_ detect.Input, answer string) (wire.Output, error) {
	return of("openai", answer, "openai")
}

// imagePart is an image as OpenAI's requests have it.
func imagePart(content string) any {
	head, _ := base64.StdEncoding.DecodeString(content[:min(len(content), 684)]) // what it can of 512 bytes
	return map[string]any{"type": "image_url", "image_url": map[string]string{"url": "data:" + http.DetectContentType(head) + ";base64," + content}}
}
