package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// maxSpec is the bytes of a description.
const maxSpec = 64 << 10

// Spec describes a remote detector. Secrets in it print as ****, but not as JSON or YAML: Masked is what may be shown.
type Spec struct {
	Name         string            `json:"name" yaml:"name"`                                       // as policies name it
	Version      string            `json:"version,omitempty" yaml:"version,omitempty"`             // changes when answers may
	Kind         string            `json:"kind" yaml:"kind"`                                       // one of Kinds
	URL          string            `json:"url" yaml:"url"`                                         // the service's, with as much of the path as is special about it
	Model        string            `json:"model,omitempty" yaml:"model,omitempty"`                 // for openai-moderation and chat
	Auth         Auth              `json:"auth,omitzero" yaml:"auth,omitempty"`                    // how it knows us
	ContentTypes []api.ContentType `json:"content_types,omitempty" yaml:"content_types,omitempty"` // that it takes; text, code and document where not set
	Covers       []string          `json:"covers,omitempty" yaml:"covers,omitempty"`               // categories of the taxonomy; its kind's where not set
	Window       int               `json:"window,omitempty" yaml:"window,omitempty"`               // code points that it takes at once; its kind's where not set
	Params       Params            `json:"params,omitzero" yaml:"params,omitempty"`                // that its kind has
	Template     string            `json:"template,omitempty" yaml:"template,omitempty"`           // of the body, for http; of the user's message, for chat
	Findings     Findings          `json:"findings,omitzero" yaml:"findings,omitempty"`            // where the answer has them, for http
	HealthURL    string            `json:"health_url,omitempty" yaml:"health_url,omitempty"`       // answers 2xx while it is well; its kind's where not set
	Idempotent   *bool             `json:"idempotent,omitempty" yaml:"idempotent,omitempty"`       // false if it must not be asked twice
}

// Auth says how the detector knows us.
type Auth struct {
	Type         string        `json:"type,omitempty" yaml:"type,omitempty"`     // none, api_key, bearer, basic or oauth2
	Header       string        `json:"header,omitempty" yaml:"header,omitempty"` // for api_key; its kind's where not set
	Key          config.Secret `json:"key,omitempty" yaml:"key,omitempty"`       // for api_key
	Token        config.Secret `json:"token,omitempty" yaml:"token,omitempty"`   // for bearer
	User         string        `json:"user,omitempty" yaml:"user,omitempty"`     // for basic
	Password     config.Secret `json:"password,omitempty" yaml:"password,omitempty"`
	ClientID     string        `json:"client_id,omitempty" yaml:"client_id,omitempty"` // for oauth2, by client credentials
	ClientSecret config.Secret `json:"client_secret,omitempty" yaml:"client_secret,omitempty"`
	TokenURL     string        `json:"token_url,omitempty" yaml:"token_url,omitempty"`
	Scope        string        `json:"scope,omitempty" yaml:"scope,omitempty"` // joined by spaces
}

// Params are what kinds can be told beside the content.
type Params struct {
	Language       string         `json:"language,omitempty" yaml:"language,omitempty"`               // presidio; en where not set
	Threshold      float64        `json:"threshold,omitempty" yaml:"threshold,omitempty"`             // fms, presidio: the score below which it says nothing
	Entities       []string       `json:"entities,omitempty" yaml:"entities,omitempty"`               // presidio; all where not set
	DetectorID     string         `json:"detector_id,omitempty" yaml:"detector_id,omitempty"`         // fms: the header of that name
	DetectorParams map[string]any `json:"detector_params,omitempty" yaml:"detector_params,omitempty"` // fms: as they are
	APIVersion     string         `json:"api_version,omitempty" yaml:"api_version,omitempty"`         // azure-*; 2024-09-01 where not set
	Blocklists     []string       `json:"blocklists,omitempty" yaml:"blocklists,omitempty"`           // azure-content-safety
	Guard          string         `json:"guard,omitempty" yaml:"guard,omitempty"`                     // chat: whose answers they are, where the model's name does not say: llama-guard-3
}

// Findings are places in an answer. A path is of names, [n] and [*]: results[*].labels[0]. Those of a finding begin at it.
type Findings struct {
	Path  string `json:"path,omitempty" yaml:"path,omitempty"`   // of all findings; where its list is empty, there is nothing
	Label string `json:"label,omitempty" yaml:"label,omitempty"` // of a finding's label, which must be there
	Score string `json:"score,omitempty" yaml:"score,omitempty"`
	Scale string `json:"scale,omitempty" yaml:"scale,omitempty"` // probability, percent or 0-N; probability where not set
	Start string `json:"start,omitempty" yaml:"start,omitempty"`
	End   string `json:"end,omitempty" yaml:"end,omitempty"`   // behind the last
	Unit  string `json:"unit,omitempty" yaml:"unit,omitempty"` // of start and end: code_points, bytes or utf16; code_points where not set
}

// Masked is the description with **** for its secrets.
func (s Spec) Masked() Spec {
	for _, secret := range []*config.Secret{&s.Auth.Key, &s.Auth.Token, &s.Auth.Password, &s.Auth.ClientSecret} {
		*secret = config.Secret(secret.String())
	}
	return s
}

var (
	unknownField = regexp.MustCompile(`unknown field "([a-z_]{1,32})"`)
	yamlLine     = regexp.MustCompile(`line \d+`)
)

// Parse reads a description in JSON or YAML, without unknown fields. Its errors quote no value: it may be a secret.
func Parse(raw []byte) (Spec, error) {
	if len(raw) > maxSpec {
		return Spec{}, fmt.Errorf("the description has more than %d KB", maxSpec>>10)
	}
	if json.Unmarshal(raw, new(map[string]json.RawMessage)) != nil {
		var err error
		if raw, err = fromYAML(raw); err != nil {
			return Spec{}, err
		}
	}
	if err := api.CheckDepth(raw); err != nil {
		return Spec{}, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var s Spec
	if err := d.Decode(&s); err != nil {
		return Spec{}, badJSON(err)
	}
	return s, nil
}

// fromYAML writes a YAML document as JSON.
func fromYAML(raw []byte) ([]byte, error) {
	var tree map[string]any
	if err := config.Strict(raw, &tree); err != nil {
		at := yamlLine.FindString(err.Error())
		return nil, fmt.Errorf("it is not one document of YAML or JSON with names and values %s", at)
	}
	out, err := json.Marshal(tree)
	if err != nil {
		return nil, errors.New("it has a name or a value that JSON has not")
	}
	return out, nil
}

func badJSON(err error) error {
	var kind *json.UnmarshalTypeError
	switch m := unknownField.FindStringSubmatch(err.Error()); {
	case m != nil:
		return fmt.Errorf("%s: this field is not known", m[1])
	case errors.As(err, &kind):
		return fmt.Errorf("%s: the value is of the wrong type; %s is wanted", kind.Field, kind.Type.Kind())
	}
	return errors.New("it has a field that is not known")
}
