package remote

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

func generics(f *testing.F) []*Detector {
	var all []*Detector
	for _, unit := range []string{"", "bytes", "utf16"} {
		d, err := New(Spec{Name: "d", Kind: "http", URL: "https://example.com", Covers: []string{"PII"}, Template: `{"a":["{{content}}"]}`, Findings: Findings{
			Path: "r[*]", Label: "l", Score: "s", Start: "a", End: "b", Unit: unit,
		}}, local)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(d.Close)
		all = append(all, d)
	}
	return all
}

// Whatever is answered, findings have labels that look like labels, scores of 0 to 1, and places in the content in both
// units, and an error has nothing of either.
func FuzzRead(f *testing.F) {
	f.Add("Grüße 🎉", `{"r":[{"l":"x","s":0.5,"a":0,"b":2},{"l":"x","s":1,"a":6,"b":8},{"l":"y","s":null,"a":null,"b":null}]}`)
	f.Add("x", `{"r":[]}`)
	f.Add("x", `{"r":[{"l":"none","s":1e400,"a":-1,"b":1e9}]}`)
	detectors := generics(f)
	f.Fuzz(func(t *testing.T, content, answer string) {
		in := detect.Input{Content: content, Type: api.ContentText}
		for _, d := range detectors {
			out, err := d.read(in, answer)
			if err != nil {
				if text := err.Error(); text != "error: garbage" && text != "error: shape" && text != "error: oversize" {
					t.Error(text)
				}
				continue
			}
			if len(out.Findings) == 0 {
				t.Error("neither a finding nor clean")
			}
			for _, found := range out.Findings {
				checkFinding(t, content, found)
			}
		}
	})
}

func checkFinding(t *testing.T, content string, f wire.Finding) {
	t.Helper()
	if !wire.IsName(f.Native) || f.Score != nil && !(*f.Score >= 0 && *f.Score <= 1) {
		t.Errorf("%+v", f)
	}
	for _, s := range f.Spans {
		if s.Byte == nil || s.Rune == nil || s.Byte[0] >= s.Byte[1] || s.Byte[1] > len(content) || utf8.RuneCountInString(content[:s.Byte[0]]) != s.Rune[0] || utf8.RuneCountInString(content[:s.Byte[1]]) != s.Rune[1] {
			t.Errorf("%v %v in %q", s.Byte, s.Rune, content)
		}
	}
}

// The content is one string of the body, whatever is in it.
func FuzzBody(f *testing.F) {
	f.Add(`","x":"`)
	f.Add(`{{content}}{{content_type}}`)
	f.Add("\\u0022\x00\u2028")
	d := generics(f)[0]
	f.Fuzz(func(t *testing.T, content string) {
		raw, err := json.Marshal(d.protocol.body(detect.Input{Content: content, Type: api.ContentCode}))
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ A []string }
		if err := json.Unmarshal(raw, &body); err != nil || len(body.A) != 1 || body.A[0] != strings.ToValidUTF8(content, "\uFFFD") && utf8.ValidString(content) {
			t.Errorf("%q became %s", content, raw)
		}
	})
}

// An answer with too many findings is none: what is left out could be what matters.
func TestTooMany(t *testing.T) {
	d := made(t, Spec{Name: "d", Kind: "http", URL: "https://example.com", Covers: []string{"PII"}, Template: `"{{content}}"`, Findings: Findings{Path: "[*]", Label: "$"}}, local)
	for n, same := range map[int]bool{wire.MaxFindings: false, wire.MaxFindings + 1: false, maxFound: true, maxFound + 1: true} {
		labels := make([]string, n)
		for i := range labels {
			if labels[i] = "x"; !same {
				labels[i] = fmt.Sprint("x", i)
			}
		}
		answer, err := json.Marshal(labels)
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.read(asked, string(answer))
		if n == wire.MaxFindings || n == maxFound {
			if err != nil || len(out.Findings) == 0 {
				t.Errorf("%d: %v", n, err)
			}
			continue
		}
		wantFailure(t, err, api.StatusError, ReasonOversize)
	}
}
