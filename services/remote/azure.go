package remote

import (
	"cmp"
	"net/url"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

const (
	azureKey     = "Ocp-Apim-Subscription-Key"
	azureWindow  = 10_000 // code points
	azureVersion = "2024-09-01"
)

// azure is what both of Azure AI Content Safety's have in common.
type azure struct{ Params }

func (p azure) query() url.Values {
	return url.Values{"api-version": {cmp.Or(p.APIVersion, azureVersion)}}
}

// azureSafety is text:analyze and image:analyze.
type azureSafety struct{ azure }

func newAzureSafety(s *Spec) (protocol, []error) { return azureSafety{azure{s.Params}}, nil }

func (p azureSafety) body(in detect.Input) any {
	if in.Type == api.ContentImage {
		return map[string]any{"image": map[string]string{"content": in.Content}}
	}
	body := map[string]any{"text": in.Content, "outputType": "EightSeverityLevels"}
	if len(p.Blocklists) > 0 {
		body["blocklistNames"] = p.Blocklists
	}
	return body
}

func (azureSafety) read(_ detect.Input, answer string) (wire.Output, error) {
	return having(answer, "categoriesAnalysis")
}

// azureShields is text:shieldPrompt. A document is one that the user's prompt brings along.
type azureShields struct{ azure }

func newAzureShields(s *Spec) (protocol, []error) { return azureShields{azure{s.Params}}, nil }

func (azureShields) body(in detect.Input) any {
	if in.Type == api.ContentDocument {
		return map[string]any{"documents": []string{in.Content}}
	}
	return map[string]any{"userPrompt": in.Content, "documents": []string{}}
}

func (azureShields) read(in detect.Input, answer string) (wire.Output, error) {
	if in.Type == api.ContentDocument {
		return having(answer, "documentsAnalysis")
	}
	return having(answer, "userPromptAnalysis")
}
