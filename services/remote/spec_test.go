package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/egress"
)

// full has every field, each with a value.
const full = `
name: a
version: "1"
kind: http
url: https://example.com/x
model: m
auth: {type: oauth2, header: h, key: SECRET-1, token: SECRET-2, user: u, password: SECRET-3, client_id: c, client_secret: SECRET-4, token_url: https://example.com/t, scope: s}
content_types: [text, image]
covers: [PII]
window: 3
params: {language: de, threshold: 0.5, entities: [A], detector_id: i, detector_params: {regex: [a]}, api_version: v, blocklists: [b], guard: g}
template: '"{{content}}"'
findings: {path: a, label: b, score: c, scale: percent, start: d, end: e, unit: bytes}
health_url: https://example.com/h
idempotent: false
`

// YAML, JSON and what they are written as are the same; what prints has no secrets.
func TestParse(t *testing.T) {
	s, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if empty := zero(reflect.ValueOf(s)); empty != "" {
		t.Errorf("%s was not read", empty)
	}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{asJSON, asYAML} {
		again, err := Parse(raw)
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v, %v from %s", again, err, raw)
		}
	}
	masked, err := json.Marshal(s.Masked())
	if err != nil || strings.Count(string(masked), `"****"`) != 4 {
		t.Errorf("%s %v", masked, err)
	}
	if text := fmt.Sprintf("%v %+v %s", s, s, s.Auth) + string(masked); strings.Contains(text, "SECRET") || s.Auth.Key != "SECRET-1" {
		t.Error(text)
	}
	least, err := json.Marshal(Spec{Name: "a", Kind: "presidio", URL: "https://example.com"})
	if err != nil || string(least) != `{"name":"a","kind":"presidio","url":"https://example.com"}` {
		t.Errorf("%s %v", least, err)
	}
}

// zero names a field that has no value.
func zero(v reflect.Value) string {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.IsZero() {
			return name
		}
		if f.Kind() == reflect.Struct {
			if inner := zero(f); inner != "" {
				return name + "." + inner
			}
		}
	}
	return ""
}

func TestParseMistakes(t *testing.T) {
	for raw, want := range map[string]string{
		``:                                  "not one document",
		`[]`:                                "not one document",
		`{`:                                 "not one document",
		`{"name":"a"} {}`:                   "not one document",
		`[1]`:                               "not one document",
		`{"color":"red"}`:                   "color: this field is not known",
		`{"auth":{"kee":"SECRET"}}`:         "kee: this field is not known",
		`{"SECRET":1}`:                      "a field that is not known",
		`{"auth":"SECRET"}`:                 "auth: the value is of the wrong type; struct is wanted",
		`{"auth":{"key":["SECRET"]}}`:       "auth.key: the value is of the wrong type; string is wanted",
		"auth: SECRET":                      "auth: the value is of the wrong type",
		"auth: {key: 4711}":                 "auth.key: the value is of the wrong type; string is wanted",
		"auth: {key: *SECRET}":              "not one document",
		"auth: {key: \"SECRET\n":            "not one document",
		"a: 1\n---\nb: 2":                   "not one document",
		"name: a\nname: SECRET":             "line 2",
		"window: .inf":                      "a value that JSON has not",
		"params: {detector_params: {1: a}}": "a value that JSON has not",
		strings.Repeat(" ", maxSpec+1):      "more than",
		`{"params":{"detector_params":` + strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat(`}`, 202): "deep",
	} {
		if _, err := Parse([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%.60s: %v, want %q", raw, err, want)
		}
	}
}

// Every fault is said at once, and no value with it.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		spec string
		want []string
	}{
		{`{}`, []string{"name:", "kind: it must be one of azure-content-safety,", "url:"}},
		{`{name: "SECRET !", kind: SECRET, url: "https://u:SECRET@h", window: -1, covers: [SECRET], health_url: "http://SECRET", auth: {type: SECRET}, params: {threshold: 2, language: "SECRET\n"}}`,
			[]string{"name:", "kind:", "url: the URL must have no user", "window:", "covers:", "health_url: the URL must begin with https", "auth.type:", "params.threshold:", "params: names"}},
		{`{name: a, kind: fms, url: "https://127.0.0.1", model: m, template: t, findings: {path: x}, params: {entities: [x]}, content_types: [image, SECRET]}`,
			[]string{"covers: it must name", "url: the address is not on the public internet", "model: it is not", "template: it is not", "findings: it is not", "params.entities: it is not", "content_types: a detector of this kind takes [text code document]"}},
		{`{name: a, kind: presidio, url: "https://h", auth: {type: api_key, header: "host", token: SECRET}}`, []string{"auth.key: api_key needs it", "auth.header: it is no name", "auth.token: it is not for this type"}},
		{`{name: a, kind: presidio, url: "https://h", auth: {type: bearer, token: "SECRET\r\nX: y"}}`, []string{"auth: keys and tokens"}},
		{`{name: a, kind: presidio, url: "https://h", auth: {type: basic, user: "a:b"}}`, []string{"auth.password: basic needs it", "auth.user: it must have no colon"}},
		{`{name: a, kind: presidio, url: "https://h", auth: {type: oauth2, client_id: SECRET, token_url: "http://10.0.0.1", scope: s, key: SECRET}}`, []string{"auth.client_secret: oauth2 needs it", "auth.token_url: the URL must begin", "auth.key: it is not"}},
		{`{name: a, kind: presidio, url: "https://h", auth: {key: SECRET}}`, []string{"auth.key: it is not for this type"}},
		{`{name: a, kind: chat, url: "https://h", template: none}`, []string{"model: a detector", "params.guard: the model's name", "template: it must have"}},
		{`{name: a, kind: chat, url: "https://h", model: gpt-5}`, []string{"params.guard: the model's name"}},
		{`{name: a, kind: http, url: "https://h", covers: [PII]}`, []string{"template: it must be JSON", "template: it must have", "findings: path and label"}},
		{`{name: a, kind: http, url: "https://h", covers: [PII], template: '{"a":{{content}}}', findings: {path: "a..b", label: "x[*]", start: s, scale: 0-0, unit: words}}`,
			[]string{"template: it must be JSON", "findings.path: it must be of", "findings.label: it must lead to one", "findings: set both", "findings.scale:", "findings.unit:"}},
	} {
		s, err := Parse([]byte(c.spec))
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		_, err = New(s, egress.New(nil))
		if err == nil || strings.Contains(err.Error(), "SECRET,") || strings.Contains(err.Error(), "SECRET ") || len(strings.Split(err.Error(), "\n")) != len(c.want) {
			t.Errorf("%s:\n%v\nwant %d", c.spec, err, len(c.want))
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in\n%v", c.spec, want, err)
			}
		}
	}
}

// The categories are the taxonomy's, and each kind's are among them.
func TestCategories(t *testing.T) {
	var doc struct {
		Labels []struct{ ID string }
	}
	if err := yaml.Unmarshal(config.Taxonomy(), &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range doc.Labels {
		category, _, _ := strings.Cut(l.ID, ".")
		seen[category] = true
		if !slices.Contains(Categories, category) {
			t.Errorf("%s is missing", category)
		}
	}
	if len(seen) != len(Categories) {
		t.Errorf("%v, the taxonomy has %v", Categories, seen)
	}
	for name, k := range kinds {
		for _, c := range k.covers {
			if !seen[c] {
				t.Errorf("%s covers %s", name, c)
			}
		}
	}
}

func TestPath(t *testing.T) {
	var doc any
	if err := json.Unmarshal([]byte(`{"a":[{"b":1,"c.d":[]},{"b":2}],"x-y":{"z":null}}`), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{"a[*].b", "[1 2]"}, {"$.a[1].b", "[2]"}, {"a[0]['c.d'][*]", "[]"}, {"x-y.z", "[<nil>]"}, {".x-y", "[map[z:<nil>]]"}, {"", "[" + fmt.Sprint(doc) + "]"},
		{"a[2].b", "absent"}, {"a.b", "absent"}, {"b", "absent"}, {"a[*]['c.d']", "absent"}, {"x-y[*]", "absent"}, {"x-y.z[*]", "absent"}, {"x-y.z.w", "absent"},
		{"a[", "bad"}, {"a..b", "bad"}, {"..a", "bad"}, {"a[-1]", "bad"}, {"a[?(@.b)]", "bad"}, {"*", "bad"}, {"a.", "bad"}, {"a b", "bad"}, {strings.Repeat("a.", 16) + "a", "bad"},
	} {
		p, err := parsePath(c.path)
		if err != nil {
			if c.want != "bad" {
				t.Errorf("%s: %v", c.path, err)
			}
			continue
		}
		found := []any{}
		err = p.each(doc, func(v any) error { found = append(found, v); return nil })
		if got := fmt.Sprint(found); got != c.want && !(errors.Is(err, errAbsent) && c.want == "absent") || err != nil && c.want != "absent" {
			t.Errorf("%s: %s %v, want %s", c.path, got, err, c.want)
		}
	}
}

// Whatever was parsed and found valid makes a detector, and no error has a secret.
func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"name":"a","kind":"chat","url":"https://h","model":"llama-guard-3","auth":{"type":"bearer","token":"SECRET-9"}}`))
	f.Add([]byte(`{"name":"a","kind":"http","url":"https://h/?a=b","covers":["PII"],"template":"{\"a\":\"{{content}}\"}","findings":{"path":"a[*]","label":"b"}}`))
	guard := egress.New(nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(raw)
		if err == nil {
			err = s.Validate(guard)
			d, made := New(s, guard)
			if (err == nil) != (made == nil) {
				t.Errorf("Validate says %v, New %v", err, made)
			}
			if made == nil {
				if err := s.Validate(guard); err != nil || d.Takes(api.ContentImage) && !slices.Contains(s.ContentTypes, api.ContentImage) {
					t.Error(err)
				}
				d.Close()
			}
		}
		if err != nil && strings.Contains(err.Error(), "SECRET-9") {
			t.Error(err)
		}
	})
}
