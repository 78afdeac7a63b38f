package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is read into the cases of testdata")

// example is a case of testdata/cases; its README says what is in it.
type example struct {
	About    string          `json:"about"`
	Detector string          `json:"detector"`
	Output   json.RawMessage `json:"output"`
	Want     reading         `json:"want"`
	Labels   json.RawMessage `json:"labels"`

	path string
}

// reading is an Output as the corpus writes it.
type reading struct {
	Vendor   string         `json:"vendor"`
	Table    string         `json:"table,omitempty"`
	Fallback string         `json:"fallback,omitempty"`
	Model    string         `json:"model,omitempty"`
	Note     string         `json:"note,omitempty"`
	Findings []foundExample `json:"findings"`
}

type foundExample struct {
	envelopeFinding
	Spans []struct {
		Byte  *[2]int `json:"byte,omitempty"`
		Rune  *[2]int `json:"rune,omitempty"`
		UTF16 *[2]int `json:"utf16,omitempty"`
	} `json:"spans,omitempty"`
}

// text is the output as Parse takes it: a string is text, all else is JSON.
func (e example) text(t testing.TB) string {
	if e.Output[0] != '"' {
		return string(e.Output)
	}
	var s string
	if err := json.Unmarshal(e.Output, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func corpus(t testing.TB) []example {
	t.Helper()
	paths, err := filepath.Glob("testdata/cases/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases", err)
	}
	var all []example
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		e := example{path: path}
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, e)
	}
	return all
}

func read(out Output) reading {
	r := reading{Vendor: out.Vendor, Table: out.Table, Fallback: out.Fallback, Model: out.Model, Note: out.Note}
	for _, f := range out.Findings {
		g := foundExample{envelopeFinding: envelopeFinding{f.Native, f.Words, f.Table, f.Score, f.Scale, f.Raw, f.Clean}}
		for _, s := range f.Spans {
			g.Spans = append(g.Spans, struct {
				Byte  *[2]int `json:"byte,omitempty"`
				Rune  *[2]int `json:"rune,omitempty"`
				UTF16 *[2]int `json:"utf16,omitempty"`
			}{s.Byte, s.Rune, s.UTF16})
		}
		r.Findings = append(r.Findings, g)
	}
	return r
}

// Every case reads as its file says, and every format has a case.
func TestCorpus(t *testing.T) {
	left := Vendors()
	for _, e := range corpus(t) {
		out, err := Parse(e.Detector, e.text(t))
		if err != nil {
			t.Errorf("%s: %v", e.path, err)
			continue
		}
		left = slices.DeleteFunc(left, func(v string) bool { return v == out.Vendor })
		got := read(out)
		if *update {
			e.Want = got
			e.write(t)
		} else if !reflect.DeepEqual(got, e.Want) {
			raw, _ := json.Marshal(got)
			t.Errorf("%s: got %s", e.path, raw)
		}
	}
	if len(left) > 0 {
		t.Errorf("no case is of %v", left)
	}
}

func (e example) write(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// named members hold names of labels, values of scales, verdicts and positions. All other strings are content, or
// could be.
var labelMembers = strings.Fields(`model category severity decision entity_type name infoType likelihood start end filterMatchState invocationResult
executionState matchState confidenceLevel infoTypes action type confidence detector_type result label entity entity_group status validatorName
validatorStatus validator_name validator_status RuleID ruleId id level kind columnKind version detection detection_type scale`)

// canary is in the place of all content.
const canary = "canary4711"

// planted replaces every string of a document that is no label by the canary.
func planted(v any, member string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = planted(inner, name)
		}
	case []any:
		for i := range v {
			v[i] = planted(v[i], member)
		}
	case string:
		if !slices.Contains(labelMembers, member) && !strings.HasSuffix(member, "Safety") && member != "Safety Categories" {
			return canary
		}
	}
	return v
}

// No content is in a finding, and none changes one.
func TestCanary(t *testing.T) {
	content := 0
	for _, e := range corpus(t) {
		output := e.text(t)
		var doc any
		d := json.NewDecoder(strings.NewReader(output))
		d.UseNumber()
		if d.Decode(&doc) == nil {
			raw, err := json.Marshal(planted(doc, ""))
			if err != nil {
				t.Fatal(err)
			}
			output = string(raw)
			content += strings.Count(output, canary)
		}
		want, _ := Parse(e.Detector, e.text(t))
		out, err := Parse(e.Detector, output)
		got, _ := json.Marshal(out)
		if err != nil || bytes.Contains(got, []byte(canary)) || bytes.Contains(got, []byte("quoted")) {
			t.Errorf("%s: %s, %v", e.path, got, err)
		}
		if !reflect.DeepEqual(out, want) {
			t.Errorf("%s: content makes a difference: %s", e.path, got)
		}
		_, err = Parse(e.Detector, strings.Replace(output, ":", ":\"quoted", 1))
		if err != nil && strings.Contains(err.Error(), "quoted") {
			t.Errorf("%s, broken: %v", e.path, err)
		}
	}
	if content < 150 {
		t.Errorf("the canary is in %d places only", content)
	}
}

// check holds what is true of every output that was taken.
func check(t *testing.T, out Output) {
	t.Helper()
	if n := len(out.Findings); n > MaxFindings {
		t.Errorf("%d findings", n)
	}
	if !slices.Contains(Vendors(), out.Vendor) || out.Table != "" && out.Fallback != "" {
		t.Errorf("vendor %q, tables %q, %q", out.Vendor, out.Table, out.Fallback)
	}
	for _, f := range out.Findings {
		if f.Native == "" || len(f.Native) > MaxLabel || out.Vendor != "text" && !nameShape.MatchString(f.Native) {
			t.Errorf("label %q", f.Native)
		}
		if f.Score != nil && !(*f.Score >= 0 && *f.Score <= 1) || len(f.Raw) > 32 || (f.Score != nil) && f.Scale == "" {
			t.Errorf("score %v, raw %q, scale %q", f.Score, f.Raw, f.Scale)
		}
		if len(f.Spans) > maxSpans {
			t.Errorf("%d spans", len(f.Spans))
		}
		for _, s := range f.Spans {
			for _, at := range []*[2]int{s.Byte, s.Rune, s.UTF16} {
				if at != nil && (at[0] < 0 || at[1] <= at[0] || at[1] > 2*maxOffset) {
					t.Errorf("span %v", *at)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range corpus(f) {
		f.Add(e.Detector, e.text(f))
	}
	f.Add("llama-guard", "unsafe\nS")
	f.Add("x", "a|b")
	f.Fuzz(func(t *testing.T, detector, output string) {
		out, err := Parse(detector, output)
		if err != nil {
			return
		}
		if len(out.Findings) == 0 {
			t.Error("no finding")
		}
		check(t, out)
		if again, _ := Parse(detector, output); !reflect.DeepEqual(out, again) {
			t.Errorf("%+v, then %+v", out, again)
		}
	})
}

// FuzzFormat gives every output to the parser of every format whose shape it has, whatever its detector is called.
// FUZZ_VENDOR=azure gives all time to the one of that vendor.
func FuzzFormat(f *testing.F) {
	tried := formats
	if vendor := os.Getenv("FUZZ_VENDOR"); vendor != "" {
		tried = slices.DeleteFunc(slices.Clone(formats), func(v format) bool { return v.vendor != vendor })
		if len(tried) == 0 {
			f.Fatalf("FUZZ_VENDOR is %s, not one of %v", vendor, Vendors()[1:])
		}
	}
	for _, e := range corpus(f) {
		for i, v := range tried {
			if v.vendor == e.Want.Vendor {
				f.Add(uint8(i), e.Detector, e.text(f))
			}
		}
	}
	f.Fuzz(func(t *testing.T, number uint8, detector, output string) {
		v := tried[int(number)%len(tried)]
		output = strings.TrimSpace(output)
		switch {
		case output == "":
			return
		case output[0] == '{' || output[0] == '[':
			if d, err := outside(output); err != nil || v.shape == nil || !v.shape(d) || v.only && !v.named(detector) {
				return
			}
		case v.text == nil || !v.named(detector) || !v.text(output):
			return
		}
		if out, err := v.parse(detector, output); err == nil {
			check(t, out)
			if out.Vendor != v.vendor {
				t.Errorf("%s says that it is of %s", v.vendor, out.Vendor)
			}
		} else if err.Error() == "" || strings.Contains(fmt.Sprint(err), canary) {
			t.Error(err)
		}
	})
}
