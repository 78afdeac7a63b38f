package mapper

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// repeated is a service that is asked the same again, with what its answers rest on.
type repeated struct {
	*Service
	model    *counting
	decided  struct{ label, version string } // of every label, unless it is empty
	proposed proposed
	events   events
	caller   access.Caller
	router   *web.Router
	reg      *prometheus.Registry
}

func (r *repeated) Lookup(*access.Tenant, string, string) []string {
	if r.decided.label == "" {
		return nil
	}
	return []string{r.decided.label}
}

func (r *repeated) Version(*access.Tenant) string { return r.decided.version }

func newRepeated(t *testing.T) *repeated {
	t.Helper()
	r := &repeated{model: &counting{version: "m@1", answer: insult(0.9)}, reg: prometheus.NewRegistry()}
	r.caller = access.Caller{Key: &access.Key{ID: "k1"}, Tenant: &access.Tenant{ID: "t1"}}
	o := DefaultOptions()
	o.Overrides, o.Reviewer = r, &r.proposed
	var err error
	if o.Cache, err = NewCache(16, nil, []byte("secret"), r.reg); err != nil {
		t.Fatal(err)
	}
	r.router = web.New("mapper", slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry(), func(rc *fasthttp.RequestCtx, _ string) error {
		r.caller.Enter(rc)
		return nil
	})
	r.Service = New(r.model, knowledge(t), o, r.reg)
	r.Register(r.router, &r.events, nil)
	return r
}

// ask sends a body and returns the answer as it was sent, but for its time.
func (r *repeated) ask(t *testing.T, path, id, body string) (string, api.Mapping) {
	t.Helper()
	var req fasthttp.Request
	req.SetRequestURI("http://h" + path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.Set("X-Request-ID", id)
	req.SetBodyString(body)
	var rc fasthttp.RequestCtx
	rc.Init(&req, nil, nil)
	r.router.ServeHTTP(&rc)
	var m api.Mapping
	if err := json.Unmarshal(rc.Response.Body(), &m); err != nil || rc.Response.StatusCode() != 200 || string(rc.Response.Header.ContentType()) != "application/json" {
		t.Fatalf("%s: %v", rc.Response.String(), err)
	}
	if at, err := time.Parse(time.RFC3339Nano, m.Provenance.TS); err != nil || time.Since(at) > time.Minute || at.Location() != time.UTC {
		t.Fatal(m.Provenance.TS)
	}
	return strings.Replace(string(rc.Response.Body()), m.Provenance.TS, "", 1), m
}

// kept is how many answers can be sent again.
func (r *repeated) kept() int { return r.recent.kept.Len() }

const clever = `{"detector":"odd one","output":"\"ts\":\"1\",\"key_id\":2} rude"}`

// What is asked again is answered as before to the byte, with an event of its own that says the same, and counts like
// any other.
func TestAgain(t *testing.T) {
	r := newRepeated(t)
	for _, body := range []string{`{"detector":"x","output":"rude"}`, clever, `{"detector":"presidio","output":"URL"}`} {
		first, m := r.ask(t, "/api/v1/map", "r1", body)
		asked := r.model.asked.Load()
		second, _ := r.ask(t, "/api/v1/map", "r2", body)
		if first != second || r.model.asked.Load() != asked {
			t.Errorf("%s\nand then, of %d\n%s", first, r.model.asked.Load()-asked, second)
		}
		a, b := r.events.all[len(r.events.all)-2], r.events.all[len(r.events.all)-1]
		if a.RequestID != "r1" || b.RequestID != "r2" || a.KeyID != "k1" || b.KeyID != "k1" || b.Time.Before(a.Time) || b.LatencyMS < 0 || b.Source != m.Source {
			t.Errorf("%+v\n%+v", a, b)
		}
		b.RequestID, b.Time, b.LatencyMS = a.RequestID, a.Time, a.LatencyMS
		one, _ := json.Marshal(a)
		if other, _ := json.Marshal(b); string(one) != string(other) {
			t.Errorf("%s\n%s", one, other)
		}
	}
	if len(r.events.all) != 6 || r.kept() != 3 || len(r.proposed) != 2 {
		t.Errorf("%d events, %d kept, proposed %s", len(r.events.all), r.kept(), r.proposed)
	}
	want := `# HELP cache_requests_total Questions for the model: answered from this process (hit), from Redis (shared), or not (miss).
# TYPE cache_requests_total counter
cache_requests_total{result="hit"} 2
cache_requests_total{result="miss"} 2
cache_requests_total{result="shared"} 0
# HELP mapping_total Answers by what they rest on; detectors without a table are other.
# TYPE mapping_total counter
mapping_total{detector="other",source="model"} 4
mapping_total{detector="presidio",source="table"} 2
`
	if err := testutil.GatherAndCompare(r.reg, strings.NewReader(want), "cache_requests_total", "mapping_total"); err != nil {
		t.Error(err)
	}
}

// An answer is worked out anew once anything that it was made with has changed, and when its time is over.
func TestAgainAnew(t *testing.T) {
	const body = `{"detector":"x","output":"rude"}`
	for name, change := range map[string]func(r *repeated){
		"another version of the model": func(r *repeated) { r.model.version = "m@2" },
		"an override":                  func(r *repeated) { r.decided.label, r.decided.version = "OTHER.Spam", "today" },
		"a tenant's settings": func(r *repeated) {
			r.caller.Tenant = &access.Tenant{ID: "t1", Settings: access.Settings{Thresholds: map[string]float64{"x": 0.95}}}
		},
		"another tenant": func(r *repeated) { r.caller.Tenant = &access.Tenant{ID: "t2"} },
		"a minute": func(r *repeated) {
			for _, a := range r.recent.kept.Values() {
				a.ends = time.Now().Add(-time.Second)
			}
		},
	} {
		r := newRepeated(t)
		before, _ := r.ask(t, "/api/v1/map", "r1", body)
		change(r)
		r.model.answer = insult(0.91)
		r.opts.Cache.local.Purge()
		after, m := r.ask(t, "/api/v1/map", "r2", body)
		if before == after || m.Confidence == 0.9 {
			t.Errorf("%s: %s", name, after)
		}
	}
	r := newRepeated(t)
	r.decided.label, r.decided.version = "OTHER.Spam", "today"
	r.ask(t, "/api/v1/map", "r1", body)
	r.decided.label = ""
	if _, m := r.ask(t, "/api/v1/map", "r2", body); m.Source != api.SourceOverride {
		t.Error(m)
	}
	r.decided.version = "tomorrow"
	if _, m := r.ask(t, "/api/v1/map", "r3", body); m.Source != api.SourceModel {
		t.Error(m)
	}
}

// What the model was not sure of, views of an answer, and what is large are not kept; without an event nothing is sent; and
// nothing stays.
func TestAgainNever(t *testing.T) {
	r := newRepeated(t)
	r.model.answer = insult(0.3)
	r.ask(t, "/api/v1/map", "r1", `{"detector":"x","output":"odd"}`)
	r.model.answer = insult(0.9)
	r.ask(t, "/api/v1/map?controls=true", "r2", `{"detector":"x","output":"rude"}`)
	r.ask(t, "/api/v1/map?source=model", "r3", `{"detector":"x","output":"rude"}`)
	r.ask(t, "/api/v1/map", "r4", `{"detector":"x","output":"rude"`+strings.Repeat(" ", recentBody)+`}`)
	if r.kept() != 0 {
		t.Error(r.kept())
	}
	r.ask(t, "/api/v1/map", "r5", `{"detector":"x","output":"rude"}`)
	r.recent.forget(time.Now())
	if r.kept() != 1 {
		t.Error(r.kept())
	}
	r.events.fail = api.Errorf(api.Unavailable, "the disk is full")
	var rc fasthttp.RequestCtx
	rc.Request.Header.SetMethod(fasthttp.MethodPost)
	rc.Request.SetRequestURI("http://h/api/v1/map")
	rc.Request.SetBodyString(`{"detector":"x","output":"rude"}`)
	r.router.ServeHTTP(&rc)
	if rc.Response.StatusCode() != 503 {
		t.Error(rc.Response.String())
	}
	if r.recent.forget(time.Now().Add(recentLife)); r.kept() != 0 {
		t.Error("it is still there")
	}
}
