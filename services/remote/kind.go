package remote

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// kind is one way to ask a detector.
type kind struct {
	root, leaf string            // of the path; "" where the URL has all of it
	image      string            // the leaf for images, if it is another
	header     string            // that an API key goes in
	health     string            // the path that says how it is; "" where there is none
	takes      []api.ContentType // that it can be told to take
	covers     []string          // where the description does not say
	window     int               // where the description does not say
	uses       []string          // fields and parameters that mean something to it
	protocol   func(s *Spec) (protocol, []error)
}

// protocol writes requests and reads answers.
type protocol interface {
	// query is what the URL's query must have.
	query() url.Values
	// body is the request's, which is written as JSON.
	body(in detect.Input) any
	// read reads an answer, which is valid JSON. Findings' places are as the detector counts.
	read(in detect.Input, answer string) (wire.Output, error)
}

var (
	texts     = []api.ContentType{api.ContentText, api.ContentCode, api.ContentDocument}
	andImages = append(slices.Clone(texts), api.ContentImage)
)

var kinds = map[string]kind{
	"fms": {
		leaf: "/api/v1/text/contents", header: "X-API-Key", health: "/health", takes: texts,
		uses: []string{"threshold", "detector_id", "detector_params"}, protocol: newFMS,
	},
	"openai-moderation": {
		root: "/v1", leaf: "/moderations", header: "Api-Key", takes: andImages, covers: []string{"HARM"},
		uses: []string{"model"}, protocol: newOpenAI,
	},
	"azure-content-safety": {
		root: "/contentsafety", leaf: "/text:analyze", image: "/image:analyze", header: azureKey, takes: andImages, covers: []string{"HARM"}, window: azureWindow,
		uses: []string{"api_version", "blocklists"}, protocol: newAzureSafety,
	},
	"azure-prompt-shields": {
		root: "/contentsafety", leaf: "/text:shieldPrompt", header: azureKey, takes: texts, covers: []string{"JAILBREAK", "PROMPT_INJECTION"}, window: azureWindow,
		uses: []string{"api_version"}, protocol: newAzureShields,
	},
	"presidio": {
		leaf: "/analyze", header: "X-API-Key", health: "/health", takes: texts, covers: []string{"PII"},
		uses: []string{"language", "threshold", "entities"}, protocol: newPresidio,
	},
	"chat": {
		root: "/v1", leaf: "/chat/completions", header: "Api-Key", takes: andImages, covers: []string{"HARM"},
		uses: []string{"model", "template", "guard"}, protocol: newChat,
	},
	"http": {
		header: "X-API-Key", takes: andImages, uses: []string{"template", "findings"}, protocol: newGeneric,
	},
}

// Kinds names the kinds.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// target is the URL that requests go to: what the description's has of the kind's path stays, and what it lacks is added.
func (k kind) target(base *url.URL, leaf string, query url.Values) string {
	u := *base
	if leaf != "" {
		path := strings.TrimSuffix(u.Path, "/")
		if rest, whole := strings.CutSuffix(path, k.leaf); whole {
			path = rest
		} else if !strings.HasSuffix(path, k.root) {
			path += k.root
		}
		u.Path, u.RawPath = path+leaf, ""
	}
	if query != nil {
		q := u.Query()
		maps.Copy(q, query)
		u.RawQuery = q.Encode()
	}
	return u.String()
}
