package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/egress"
)

// Categories are those of the taxonomy.
var Categories = []string{"PII", "HARM", "BIAS", "SECURITY", "PROMPT_INJECTION", "JAILBREAK", "OTHER"}

// Limits of a description's parts.
const (
	maxSecret   = 8 << 10 // bytes; some tokens are long
	maxTemplate = 16 << 10
	maxEntries  = 128 // of a list
	maxText     = 256 // bytes of anything else
)

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	headerShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	printable   = regexp.MustCompile(`^[\x21-\x7e]*$`)
	line        = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// ours are headers that a request has anyway.
var ours = []string{"Host", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Detector-Id"}

// faults collects what is wrong with a description.
type faults []error

func (f *faults) check(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

// Validate says everything that is wrong with a description, each fault with the field's name and without its value.
func (s *Spec) Validate(guard *egress.Guard) error {
	var f faults
	f.check(nameShape.MatchString(s.Name), "name: it must have 1 to 64 of a-z, 0-9, dot, dash and underscore, and begin with a letter or a digit")
	k, known := kinds[s.Kind]
	f.check(known, "kind: it must be one of %s", strings.Join(Kinds(), ", "))
	f.url(guard, "url", s.URL)
	if s.HealthURL != "" {
		f.url(guard, "health_url", s.HealthURL)
	}
	f.auth(guard, s.Auth)
	f.check(!known || subset(s.ContentTypes, k.takes), "content_types: a detector of this kind takes %v", k.takes)
	f.check(subset(s.Covers, Categories), "covers: the categories are %v", Categories)
	f.check(!known || len(s.Covers) > 0 || len(k.covers) > 0, "covers: it must name the categories that the detector can see, of %v", Categories)
	f.check(s.Window >= 0 && s.Window <= api.MaxContent, "window: it must be 0 to %d code points", api.MaxContent)
	f.check(len(s.Version) <= maxText && line.MatchString(s.Version), "version: it must have at most %d bytes of printable ASCII", maxText)
	f.check(len(s.Model) <= maxText && line.MatchString(s.Model), "model: it must have at most %d bytes of printable ASCII", maxText)
	f.check(len(s.Template) <= maxTemplate, "template: it has more than %d bytes", maxTemplate)
	f.params(s.Params)
	if known {
		f.fitting(s, k)
		_, errs := k.protocol(s)
		f = append(f, errs...)
	}
	return errors.Join(f...)
}

// url checks a URL that we are to connect to.
func (f *faults) url(guard *egress.Guard, field, raw string) {
	if _, err := guard.Check(raw); err != nil {
		f.check(false, "%s: %w", field, err)
	}
}

// auth checks that what its type needs is there, and nothing else.
func (f *faults) auth(guard *egress.Guard, a Auth) {
	needs := map[string][]string{
		"": nil, "none": nil, "api_key": {"key"}, "bearer": {"token"}, "basic": {"user", "password"}, "oauth2": {"client_id", "client_secret", "token_url"},
	}
	may := map[string][]string{"api_key": {"header"}, "oauth2": {"scope"}}
	needed, ok := needs[a.Type]
	f.check(ok, "auth.type: it must be none, api_key, bearer, basic or oauth2")
	if !ok {
		return
	}
	fields := []struct{ name, value string }{
		{"header", a.Header}, {"key", string(a.Key)}, {"token", string(a.Token)}, {"user", a.User}, {"password", string(a.Password)},
		{"client_id", a.ClientID}, {"client_secret", string(a.ClientSecret)}, {"token_url", a.TokenURL}, {"scope", a.Scope},
	}
	for _, field := range fields {
		want := slices.Contains(needed, field.name)
		f.check(!want || field.value != "", "auth.%s: %s needs it", field.name, a.Type)
		f.check(want || field.value == "" || slices.Contains(may[a.Type], field.name), "auth.%s: it is not for this type", field.name)
		f.check(len(field.value) <= maxSecret, "auth.%s: it has more than %d bytes", field.name, maxSecret)
	}
	f.check(printable.MatchString(string(a.Key)+string(a.Token)), "auth: keys and tokens must be of printable ASCII, without spaces")
	f.check(!strings.Contains(a.User, ":"), "auth.user: it must have no colon")
	f.check(a.Header == "" || headerShape.MatchString(a.Header) && !slices.Contains(ours, http.CanonicalHeaderKey(a.Header)), "auth.header: it is no name of a header that can be set")
	if a.TokenURL != "" {
		f.url(guard, "auth.token_url", a.TokenURL)
	}
}

func (f *faults) params(p Params) {
	f.check(p.Threshold >= 0 && p.Threshold <= 1, "params.threshold: it must be 0 to 1")
	texts := append([]string{p.Language, p.DetectorID, p.APIVersion, p.Guard}, append(p.Entities, p.Blocklists...)...)
	f.check(len(texts) <= maxEntries && !slices.ContainsFunc(texts, func(s string) bool { return len(s) > maxText || !line.MatchString(s) }),
		"params: names must have at most %d bytes of printable ASCII, and there may be %d", maxText, maxEntries)
}

// fitting checks that nothing is set which the kind has no use for.
func (f *faults) fitting(s *Spec, k kind) {
	for _, field := range []struct {
		name string
		set  bool
	}{{"model", s.Model != ""}, {"template", s.Template != ""}, {"findings", s.Findings != (Findings{})}} {
		f.check(!field.set || slices.Contains(k.uses, field.name), "%s: it is not for this kind", field.name)
	}
	raw, err := json.Marshal(s.Params)
	var set map[string]json.RawMessage
	f.check(err == nil && json.Unmarshal(raw, &set) == nil, "params: they cannot be written as JSON")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		f.check(slices.Contains(k.uses, name), "params.%s: it is not for this kind", name)
	}
}

// subset says whether all of some are known, each once at most.
func subset[T ~string](some, known []T) bool {
	for i, v := range some {
		if !slices.Contains(known, v) || slices.Contains(some[:i], v) {
			return false
		}
	}
	return true
}
