package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// These goroutines are fasthttp's own: a client's ends by itself, idleTime after the last connection, and the others are a
// server's, which one test has.
func TestMain(m *testing.M) {
	const fasthttp = "github.com/valyala/fasthttp."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(fasthttp+"(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction(fasthttp+"(*workerPool).Start.func2"), goleak.IgnoreAnyFunction(fasthttp+"updateServerDate.func1"))
}

// local lets through to this host.
var local = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

// exchange is what we send to a detector, what it answers, and what that says.
type exchange struct {
	About   string
	Spec    json.RawMessage
	Content string
	Type    api.ContentType
	Request struct {
		Path, Query string
		Headers     map[string]string
		Body        any
	}
	Response json.RawMessage
	Reason   string // of the failure; else
	Want     struct {
		Vendor, Table string
		Findings      []struct {
			Native       string
			Score        *float64
			Clean        bool
			Bytes, Runes [][2]int
		}
	}
}

func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 30 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var e exchange
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			e.run(t)
		})
	}
}

func (e exchange) run(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		e.compare(t, r)
		w.Write(e.Response)
	}))
	defer server.Close()
	spec, err := Parse([]byte(strings.ReplaceAll(string(e.Spec), "SERVER", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(spec, local)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	in := detect.Input{Content: e.Content, Type: e.Type}
	if in.Type == "" {
		in.Type = api.ContentText
	}
	out, err := d.Ask(context.Background(), in)
	if asked != 1 {
		t.Errorf("%d requests", asked)
	}
	if e.Reason != "" {
		wantFailure(t, err, api.StatusError, e.Reason)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	e.check(t, out)
}

// compare holds a request against what it must be.
func (e exchange) compare(t *testing.T, r *http.Request) {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	var body any
	if err := json.Unmarshal(raw, &body); err != nil || !reflect.DeepEqual(body, e.Request.Body) {
		t.Errorf("sent %s, want %v", raw, e.Request.Body)
	}
	if r.Method != http.MethodPost || r.URL.Path != e.Request.Path || r.URL.RawQuery != e.Request.Query || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s as %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	for name, value := range e.Request.Headers {
		if r.Header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, r.Header.Get(name), value)
		}
	}
	if e.Request.Headers["Authorization"] == "" && r.Header.Get("Authorization") != "" {
		t.Error("authorized, without need")
	}
}

func (e exchange) check(t *testing.T, out wire.Output) {
	t.Helper()
	if out.Vendor != e.Want.Vendor || e.Want.Table != "" && out.Table != e.Want.Table || len(out.Findings) != len(e.Want.Findings) {
		t.Fatalf("%+v, want %+v", out, e.Want)
	}
	for i, f := range out.Findings {
		want := e.Want.Findings[i]
		var bytes, runes [][2]int
		for _, s := range f.Spans {
			bytes, runes = append(bytes, *s.Byte), append(runes, *s.Rune)
		}
		if f.Native != want.Native || f.Clean != want.Clean || !reflect.DeepEqual(f.Score, want.Score) || !reflect.DeepEqual(bytes, want.Bytes) || !reflect.DeepEqual(runes, want.Runes) {
			t.Errorf("%+v at %v %v, want %+v", f, bytes, runes, want)
		}
	}
}

func wantFailure(t *testing.T, err error, status api.DetectorStatus, reason string) *detect.Failure {
	t.Helper()
	var f *detect.Failure
	if !errors.As(err, &f) || f.Status != status || f.Reason != reason {
		t.Fatalf("%v, want %s: %s", err, status, reason)
	}
	return f
}
