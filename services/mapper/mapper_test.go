package mapper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// What fasthttp leaves behind for a while after a stop: sweepers that sleep until their next tick, and a clock.
func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range []string{"(*workerPool).Start.func2", "updateServerDate.func1", "(*Client).mCleaner", "(*HostClient).connsCleaner"} {
		ignore = append(ignore, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp."+name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

// scripted answers by finding: a label and a confidence, or an error.
type scripted map[string]any

func (scripted) Version() string { return "scripted@1" }

func (scripted) Answers(_, _ string) string { return "scripted@1" }

func (m scripted) Classify(ctx context.Context, _, finding string) (Answer, error) {
	switch v := m[finding].(type) {
	case error:
		if errors.Is(v, context.DeadlineExceeded) {
			<-ctx.Done()
			return Answer{}, ctx.Err()
		}
		return Answer{}, v
	case Answer:
		return v, nil
	}
	return sure("HARM.SPEECH.Toxicity", 0.9), nil
}

func sure(label string, p float64) Answer {
	return Answer{Label: label, Confidence: p, Candidates: []api.Candidate{{Label: label, Confidence: p}, {Label: "OTHER.Safe", Confidence: 1 - p}}}
}

// fixture is the service on an in-memory listener.
type fixture struct {
	ln     *fasthttputil.InmemoryListener
	client *fasthttp.Client
	router *web.Router
	logs   *bytes.Buffer
	events events
}

// enter lets everyone in, as the tenant t1.
func enter(rc *fasthttp.RequestCtx, _ string) error {
	access.Caller{Key: &access.Key{ID: "k1"}, Tenant: &access.Tenant{ID: "t1"}}.Enter(rc)
	return nil
}

// events keeps what is recorded, or fails.
type events struct {
	sync.Mutex
	all  []api.Event
	fail error
}

func (e *events) Keep(_ context.Context, _ *access.Tenant, entries []audit.Entry) error {
	e.Lock()
	defer e.Unlock()
	for _, entry := range entries {
		var of api.Event
		if err := json.Unmarshal(entry.JSON, &of); err != nil || !of.Time.Equal(entry.At) {
			return fmt.Errorf("%s at %v: %w", entry.JSON, entry.At, err)
		}
		if e.fail == nil {
			e.all = append(e.all, of)
		}
	}
	return e.fail
}

// knowledge is the data that ships.
func knowledge(t testing.TB) Knowledge {
	t.Helper()
	k, err := LoadKnowledge()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func serve(t *testing.T, model Model) *fixture {
	t.Helper()
	k := knowledge(t)
	reg := prometheus.NewRegistry()
	o := DefaultOptions()
	o.Timeout = 50 * time.Millisecond
	o.Thresholds = map[string]float64{"strict": 0.95}
	f := &fixture{logs: &bytes.Buffer{}}
	f.router = web.New("mapper", slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), reg, enter)
	f.router.Probes(func() []web.Part { return nil }, reg)
	New(model, k, o, reg).Register(f.router, &f.events, nil)
	f.ln = fasthttputil.NewInmemoryListener()
	f.client = &fasthttp.Client{Dial: func(string) (net.Conn, error) { return f.ln.Dial() }}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.router.Serve(ctx, f.ln, web.Options{ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute, DrainTimeout: time.Minute, Connections: 64})
	}()
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// do sends a request and decodes the answer into out.
func (f *fixture) do(t *testing.T, method, path, body string, out any, headers ...string) *fasthttp.Response {
	t.Helper()
	var req fasthttp.Request
	res := &fasthttp.Response{}
	req.SetRequestURI("http://mapper" + path)
	req.Header.SetMethod(method)
	req.SetBodyString(body)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if err := f.client.Do(&req, res); err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(res.Body(), out); err != nil {
			t.Fatalf("%s: %v", res.Body(), err)
		}
	}
	return res
}

// body makes a request for an output, which is JSON.
func body(detector, output string) string {
	return fmt.Sprintf(`{"detector":%q,"output":%s,"tenant_id":"t1"}`, detector, output)
}

func TestMap(t *testing.T) {
	f := serve(t, scripted{
		"rude": sure("HARM.SPEECH.Insult", 0.8), "odd": sure("BIAS.Other", 0.3), "Privacy": sure("PII.Other", 0.7), "S7": errors.New("asked for the code"),
	})
	check := func(path, body, want string) api.Mapping {
		t.Helper()
		var m api.Mapping
		res := f.do(t, "POST", path, body, &m)
		var scores []string
		for _, label := range m.Taxonomy {
			scores = append(scores, fmt.Sprintf("%s:%.2f", label, m.Scores[label]))
		}
		if got := fmt.Sprintf("%s %.2f %s", strings.Join(scores, " "), m.Confidence, m.Source); res.StatusCode() != 200 || got != want || len(m.Scores) != len(m.Taxonomy) {
			t.Errorf("%s: got %d %s, want %s\n%s", body, res.StatusCode(), got, want, res.Body())
		}
		return m
	}
	const path, ask = "/api/v1/map", "/api/v1/map?source=model"
	m := check(path, body("my-guard", `"rude"`), "HARM.SPEECH.Insult:1.00 0.80 model")
	if v := m.VersionInfo; v.Taxonomy != "2026.11" || v.Model != "scripted@1" || v.Table != "" || v.Frameworks == "" || m.Provenance.TenantID != "t1" {
		t.Errorf("versions %+v, provenance %+v", v, m.Provenance)
	}
	m = check(path, body("my-guard", `"odd"`), "OTHER.Unknown:1.00 0.30 fallback")
	if len(m.Candidates) != 2 || m.Candidates[1].Label != "BIAS.Other" || m.Notes == "" {
		t.Errorf("candidates %v, notes %q", m.Candidates, m.Notes)
	}
	check(path, body("strict", `"rude"`), "OTHER.Unknown:1.00 0.80 fallback") // its own threshold
	check(path, body("my-guard", `"rude|odd|safe"`), "HARM.SPEECH.Insult:1.00 OTHER.Unknown:1.00 0.30 fallback")
	check(path, body("my-guard", `"safe|none"`), "OTHER.Safe:1.00 1.00 table")
	m = check(path, body("presidio", `[{"entity_type":"US_SSN","score":0.85,"start":0,"end":9},{"entity_type":"PERSON","score":0.4}]`), "PII.Person.Name:0.40 PII.Identifier.SSN:0.85 1.00 table")
	if !strings.HasPrefix(m.VersionInfo.Table, "presidio@") || m.Provenance.Vendor != "presidio" {
		t.Errorf("%+v", m)
	}
	check(path, body("Presidio-Analyzer", `"email_address"`), "PII.Contact.Email:1.00 1.00 table") // an alias, another case
	check(path, body("presidio", `"MY_OWN_ENTITY"`), "HARM.SPEECH.Toxicity:1.00 0.90 model")
	check(path, body("presidio", `[]`), "OTHER.Safe:1.00 1.00 table")
	check(path, body("presidio", `"[{\"entity_type\":\"URL\"}]"`), "PII.Contact.URL:1.00 1.00 table") // JSON in a string
	check(path, body("x", `{"results":[{"flagged":true,"categories":{"hate/threatening":true},"category_scores":{"hate/threatening":0.7}}]}`),
		"HARM.SPEECH.Threat:0.70 HARM.SPEECH.Hate.Other:0.70 1.00 table")
	check(path, body("x", `{"categoriesAnalysis":[{"category":"Hate","severity":0},{"category":"Violence","severity":4}]}`), "HARM.VIOLENCE.Physical:0.57 1.00 table")
	m = check(path, body("llama-guard", `"unsafe\nS7"`), "PII.Other:1.00 1.00 table")
	if !strings.Contains(m.Notes, "Llama Guard 3") {
		t.Errorf("notes %q", m.Notes)
	}
	check(ask, body("llama-guard-3", `"unsafe\nS7"`), "PII.Other:1.00 0.70 model") // the category's words go to the model
	check(ask, body("presidio", `"rude"`), "HARM.SPEECH.Insult:1.00 0.80 model")

	var m2 api.Mapping // the tenant is the key's
	if res := f.do(t, "POST", path, `{"detector":"x","output":"rude","metadata":{"any":1}}`, &m2); res.StatusCode() != 200 || m2.Provenance.TenantID != "t1" {
		t.Errorf("%s", res.Body())
	}
}

func TestBadInput(t *testing.T) {
	f := serve(t, scripted{"long": ErrTooLong})
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	check := func(name, body string, status int, code api.Code) {
		t.Helper()
		for _, path := range []string{"/api/v1/map", "/api/v1/map/batch"} {
			var e api.Error
			res := f.do(t, "POST", path, body, &e)
			if res.StatusCode() != status || e.Code != code || e.Message == "" || e.RequestID == "" {
				t.Errorf("%s to %s: %d %s", name, path, res.StatusCode(), res.Body())
			}
		}
	}
	check("empty", "", 400, api.InvalidRequest)
	check("deep", body("x", deep), 400, api.InvalidRequest)
	check("deep string", body("x", fmt.Sprintf("%q", deep)), 400, api.InvalidRequest)
	check("wrong UTF-8", body("x", "\"\xff\xfe\""), 400, api.InvalidRequest)
	check("unknown field", `{"detector":"x","output":"a","tenant_id":"t1","color":"red"}`, 400, api.InvalidRequest)
	check("10,000 labels", body("x", `"`+strings.Repeat("a|", 10_000)+`"`), 400, api.InvalidRequest)
	check("NUL", body("x", `"a\u0000b"`), 400, api.InvalidRequest)
	check("raw NUL", "{\"detector\":\"x\",\"output\":\"a\x00\"}", 400, api.InvalidRequest)
	check("not JSON", "detector=x", 400, api.InvalidRequest)
	check("more after it", body("x", `"a"`)+"{}", 400, api.InvalidRequest)
	check("no detector", `{"output":"a","tenant_id":"t1"}`, 400, api.InvalidRequest)
	check("no output", `{"detector":"x","tenant_id":"t1"}`, 400, api.InvalidRequest)
	check("null output", body("x", `null`), 400, api.InvalidRequest)
	check("blank output", body("x", `"  "`), 400, api.InvalidRequest)
	check("number output", body("x", `5`), 400, api.InvalidRequest)
	check("long detector", body(strings.Repeat("x", 129), `"a"`), 400, api.InvalidRequest)
	check("metadata", `{"detector":"x","output":"a","tenant_id":"t1","metadata":[]}`, 400, api.InvalidRequest)
	check("wrong type", `{"detector":5,"output":"a","tenant_id":"t1"}`, 400, api.InvalidRequest)
	check("unknown shape", body("x", `{"label":"toxic"}`), 400, api.InvalidRequest)
	check("long label", body("x", `"`+strings.Repeat("a", 600)+`"`), 400, api.InvalidRequest)
	check("too long for the model", body("x", `"long"`), 400, api.InvalidRequest)

	// The server answers without reading such a body, so it must be written beside the reading.
	large := body("x", `"`+strings.Repeat("a", 65<<10)+`"`)
	conn, err := f.ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go fmt.Fprintf(conn, "POST /api/v1/map HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large)
	var res fasthttp.Response
	if err := res.Read(bufio.NewReader(conn)); err != nil || res.StatusCode() != 413 || !bytes.Contains(res.Body(), []byte(api.PayloadTooLarge)) {
		t.Errorf("65 KB: %d %s, %v", res.StatusCode(), res.Body(), err)
	}

	var e api.Error
	if res := f.do(t, "POST", "/api/v1/map?source=table", body("x", `"a"`), &e); res.StatusCode() != 400 {
		t.Errorf("unknown source: %s", res.Body())
	}
	if res := f.do(t, "POST", "/api/v1/map", `{"detector":"x","output":"a","tenant_id":"t2"}`, &e); res.StatusCode() != 403 || len(f.events.all) != 0 {
		t.Errorf("another tenant: %s", res.Body())
	}
}

func TestModelErrors(t *testing.T) {
	f := serve(t, scripted{"full": fmt.Errorf("wrapped: %w", ErrOverloaded), "slow": context.DeadlineExceeded, "stop": ErrClosing, "bug": errors.New("bug")})
	for finding, want := range map[string]api.Code{"full": api.Overloaded, "slow": api.RequestTimeout, "stop": api.Unavailable, "bug": api.Internal} {
		var e api.Error
		res := f.do(t, "POST", "/api/v1/map", body("x", fmt.Sprintf("%q", finding)), &e)
		if res.StatusCode() != want.Status() || e.Code != want || e.Retryable != (want != api.Internal) {
			t.Errorf("%s: %d %s", finding, res.StatusCode(), res.Body())
		}
		if after := string(res.Header.Peek("Retry-After")); (after == "1") != (want == api.Overloaded) {
			t.Errorf("%s: Retry-After %q", finding, after)
		}
	}
}

// Each item of a batch has its own answer or error, in order.
func TestBatch(t *testing.T) {
	f := serve(t, scripted{"full": ErrOverloaded})
	var items []string
	for i := range 100 {
		switch i % 10 {
		case 3:
			items = append(items, body("x", `"full"`))
		case 7:
			items = append(items, `{"detector":"","output":"a","tenant_id":"t1"}`)
		default:
			items = append(items, body(fmt.Sprintf("d%d", i), `"a"`))
		}
	}
	var out api.MapBatchResponse
	if res := f.do(t, "POST", "/api/v1/map/batch", `{"requests":[`+strings.Join(items, ",")+`]}`, &out); res.StatusCode() != 200 || len(out.Results) != 100 {
		t.Fatalf("%d %s", res.StatusCode(), res.Body())
	}
	for i, r := range out.Results {
		switch {
		case i%10 == 3 && (r.Error == nil || r.Error.Code != api.Overloaded || r.Mapping != nil),
			i%10 == 7 && (r.Error == nil || r.Error.Code != api.InvalidRequest),
			i%10 != 3 && i%10 != 7 && (r.Error != nil || r.Mapping.Provenance.Detector != fmt.Sprintf("d%d", i)):
			t.Errorf("item %d: %+v", i, r)
		}
	}
	for _, n := range []int{0, 101} {
		var e api.Error
		res := f.do(t, "POST", "/api/v1/map/batch", `{"requests":[`+strings.Repeat(items[0]+",", max(0, n-1))+strings.Repeat(items[0], min(n, 1))+`]}`, &e)
		if res.StatusCode() != 400 {
			t.Errorf("%d items: %s", n, res.Body())
		}
	}
}

func TestTaxonomyRoute(t *testing.T) {
	var out api.TaxonomyResponse
	serve(t, scripted{}).do(t, "GET", "/api/v1/taxonomy", "", &out)
	if out.Version != "2026.11" || len(out.Labels) != 89 || out.Labels[0].Since != "2025.09" || !slices.Equal(out.CompatibleWith, []string{"2025.09"}) {
		t.Errorf("%+v", out)
	}
}

// Answers fit the schemas of the OpenAPI document.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, scripted{"odd": sure("BIAS.Other", 0.3)})
	fits := func(schema, method, path, body string) {
		t.Helper()
		var v any
		f.do(t, method, path, body, &v)
		if err := doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
			t.Errorf("%s %s %s: %v", method, path, body, err)
		}
	}
	fits("Mapping", "POST", "/api/v1/map", body("x", `"odd|a"`))
	fits("Mapping", "POST", "/api/v1/map", body("x", `[{"entity_type":"URL","score":0.5}]`))
	fits("MapBatchResponse", "POST", "/api/v1/map/batch", `{"requests":[`+body("x", `"a"`)+`,`+body("", `"a"`)+`]}`)
	fits("Error", "POST", "/api/v1/map", `{}`)
	fits("TaxonomyResponse", "GET", "/api/v1/taxonomy", "")
	fits("Status", "GET", "/health", "")
	fits("Status", "GET", "/ready", "")
}

// What a client sends is in no log, no metric and no error, whatever goes wrong with it.
func TestCanary(t *testing.T) {
	const canary = "canary4711"
	f := serve(t, scripted{canary: errors.New("bug"), canary + "2": ErrOverloaded, canary + "3": ErrTooLong})
	for _, b := range []string{
		body("x", `"`+canary+`"`), body("x", `"`+canary+`2"`), body("x", `"`+canary+`3"`), body("x", `{"`+canary+`":"`+canary+`"}`),
		body("x", `[{"entity_type":"`+canary+` is, a name"}]`), body("x", `"`+strings.Repeat(canary, 60)+`"`), `{"` + canary + `":1}`, canary, `{"detector":` + canary,
		`{"detector":{"` + canary + `":1}}`, `{"detector":"x","output":"a","tenant_id":"t1","metadata":"` + canary + `"}`,
	} {
		var e api.Error
		if res := f.do(t, "POST", "/api/v1/map?source=model", b, &e, "X-Tenant-ID", "t1"); res.StatusCode() == 200 || bytes.Contains(res.Body(), []byte(canary)) {
			t.Errorf("%s: %d %s", b, res.StatusCode(), res.Body())
		}
	}
	f.do(t, "POST", "/api/v1/map", `{"detector":"`+canary+` x","output":"`+canary+`9","metadata":{"a":"`+canary+`"}}`, nil)
	f.do(t, "POST", "/api/v1/map", body("x", `"the user wrote `+canary+`"`), nil)
	f.do(t, "POST", "/api/v1/map?source="+canary, body("x", `"a"`), nil)
	metrics := f.do(t, "GET", "/metrics", "", nil).Body()
	kept, err := json.Marshal(f.events.all)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(f.logs.String(), canary) || bytes.Contains(metrics, []byte(canary)) || bytes.Contains(kept, []byte(canary)) || len(f.events.all) != 2 {
		t.Errorf("the canary is in the log, the metrics or an event:\n%s\n%s", f.logs, kept)
	}
	if !bytes.Contains(metrics, []byte(`mapping_total{detector="other",source="model"} 2`)) {
		t.Errorf("mapping_total is missing in\n%s", metrics)
	}
}

func TestTablesRefuse(t *testing.T) {
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	f := func(doc, want string) {
		t.Helper()
		if _, err := ParseTables(mapFS(doc), taxonomy); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", doc, err, want)
		}
	}
	const head = "detector: d\nversion: '1'\ntaxonomy: '2026.11'\n"
	f("detector: d\ntaxonomy: '2025.09'", "2025.09")
	f(head+"maps: {a: [OTHER.Nothing]}", "OTHER.Nothing")
	f(head+"maps: {a: []}", "no label")
	f(head+"maps: {a: [OTHER.Safe], A: [OTHER.Safe]}", "twice")
	f(head+"aliases: [D]", "lower case")
	f(head+"surprise: 1", "surprise")
	for _, bad := range []string{"labels: []", "labels: [{id: OTHER.Safe}, {id: OTHER.Safe}]", "color: red"} {
		if _, err := ParseTaxonomy([]byte(bad)); err == nil {
			t.Errorf("taxonomy %q was taken", bad)
		}
	}
}

func mapFS(doc string) fstest.MapFS { return fstest.MapFS{"d.yaml": {Data: []byte(doc)}} }

// An answer names every checkpoint that had a part in it, and the active one where none had.
func TestVersionsThatAnswered(t *testing.T) {
	s := &Service{model: scripted{}}
	f := func(want string, models ...string) {
		t.Helper()
		var findings []api.Finding
		for _, m := range models {
			findings = append(findings, api.Finding{Model: m})
		}
		if got := s.asked(findings); got != want {
			t.Errorf("%v: got %q, want %q", models, got, want)
		}
	}
	f("scripted@1")
	f("scripted@1", "")
	f("a@1", "a@1", "", "a@1")
	f("a@1, a@2", "a@2", "a@1")
}
