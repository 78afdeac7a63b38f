package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/remote/remotetest"
)

// What must be in no error.
const (
	secret = "SECRET-7f3a"
	canary = "Jane Canary"
)

func scripted(t *testing.T) *remotetest.Server {
	t.Helper()
	s, err := remotetest.New("Canary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func fmsAt(t *testing.T, at string) *Detector {
	t.Helper()
	return made(t, Spec{Name: "d", Kind: "fms", URL: at, Covers: []string{"PII"}, Auth: Auth{Type: "bearer", Token: secret}}, local)
}

func made(t *testing.T, spec Spec, guard *egress.Guard) *Detector {
	t.Helper()
	d, err := New(spec, guard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var asked = detect.Input{Content: canary, Type: api.ContentText}

// soon is a context whose deadline is what the detectors that do not answer are waited for.
func soon(t *testing.T, within time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	return ctx
}

// Each way to fail has its reason, and no error has anything of what was sent, answered or secret.
func TestFailures(t *testing.T) {
	s := scripted(t)
	for mode, want := range map[string]*detect.Failure{
		remotetest.Failing:  {Status: api.StatusError, Reason: Reason5xx, Retry: true},
		remotetest.Refusing: {Status: api.StatusError, Reason: Reason4xx},
		remotetest.Limiting: {Status: api.StatusRateLimited, Reason: ReasonRateLimited, Retry: true, RetryAfter: 2 * time.Second},
		remotetest.Garbage:  {Status: api.StatusError, Reason: ReasonGarbage},
		remotetest.Shape:    {Status: api.StatusError, Reason: ReasonShape},
		remotetest.Oversize: {Status: api.StatusError, Reason: ReasonOversize},
		remotetest.Closed:   {Status: api.StatusError, Reason: ReasonClosed, Retry: true},
	} {
		_, err := fmsAt(t, s.URL(mode)).Ask(context.Background(), asked)
		got := wantFailure(t, err, want.Status, want.Reason)
		if got.Retry != want.Retry || got.RetryAfter != want.RetryAfter {
			t.Errorf("%s: %+v, want %+v", mode, got, want)
		}
		if text := fmt.Sprintf("%v %+v %v", err, err, errors.Unwrap(err)); strings.Contains(text, secret) || strings.Contains(text, "Canary") {
			t.Errorf("%s: %s", mode, text)
		}
		if n := s.Asked(mode); n > 1 {
			t.Errorf("%s: asked %d times", mode, n)
		}
	}
	for mode, native := range map[string]string{remotetest.OK: "WORD", remotetest.Clean: "clean"} {
		out, err := fmsAt(t, s.URL(mode)).Ask(context.Background(), asked)
		if err != nil || out.Findings[0].Native != native || out.Findings[0].Clean != (native == "clean") {
			t.Errorf("%s: %+v %v", mode, out, err)
		}
	}
}

func TestFlapping(t *testing.T) {
	d := fmsAt(t, scripted(t).URL(remotetest.Flapping))
	for i := 1; i <= 6; i++ {
		_, err := d.Ask(context.Background(), asked)
		if (err != nil) != (i%3 == 0) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// A detector that does not answer, or never ends, is left at the deadline: the caller has its context's error, and the
// connection is gone.
func TestDeadline(t *testing.T) {
	s := scripted(t)
	for _, mode := range []string{remotetest.Timeout, remotetest.Drip} {
		d := fmsAt(t, s.URL(mode))
		ctx := soon(t, 200*time.Millisecond)
		if _, err := d.Ask(ctx, asked); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", mode, err)
		}
		until, _ := ctx.Deadline()
		if time.Now().Before(until) {
			t.Errorf("%s: left before the deadline", mode)
		}
		d.work.running.Wait() // what runs on ends with the deadline too, or this does not
		if n := d.ask.client.ConnsCount(); n != 0 {
			t.Errorf("%s: %d connections", mode, n)
		}
	}
	for s.Open() > 0 { // the detectors see that we have gone, or the test runs into its timeout
		time.Sleep(time.Millisecond)
	}
}

// A caller that gives up does not wait; Close waits for what it has left behind.
func TestCancel(t *testing.T) {
	s := scripted(t)
	d := fmsAt(t, s.URL(remotetest.Timeout))
	ctx, cancel := context.WithCancel(soon(t, time.Second))
	go func() {
		for s.Asked(remotetest.Timeout) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := d.Ask(ctx, asked); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := d.Ask(ctx, asked); !errors.Is(err, context.Canceled) || s.Asked(remotetest.Timeout) != 1 {
		t.Errorf("%v, asked %d times", err, s.Asked(remotetest.Timeout))
	}
	d.Close()
	if n := d.ask.client.ConnsCount(); n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	_, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonClosed)
}

// What waits for a detector has a bound.
func TestBusy(t *testing.T) {
	s := scripted(t)
	d := fmsAt(t, s.URL(remotetest.Timeout))
	var all sync.WaitGroup
	for range maxPending {
		all.Go(func() {
			if _, err := d.Ask(context.Background(), asked); err == nil {
				t.Error("it answered")
			}
		})
	}
	for d.ask.client.PendingRequests() < maxPending {
		time.Sleep(time.Millisecond)
	}
	_, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonBusy)
	s.Close()
	all.Wait()
}

// What a detector's statuses say.
func TestStatuses(t *testing.T) {
	status, after := 0, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://169.254.169.254/")
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
		io.WriteString(w, `[[]]`)
	}))
	defer s.Close()
	d := fmsAt(t, s.URL)
	for _, c := range []struct {
		status int
		after  string
		reason string
		want   time.Duration
	}{
		{302, "", Reason3xx, 0}, {308, "", Reason3xx, 0}, {400, "", Reason4xx, 0}, {401, "", ReasonAuth, 0}, {403, "", ReasonAuth, 0}, {404, "5", Reason4xx, 0},
		{500, "", Reason5xx, 0}, {503, "7", Reason5xx, 7 * time.Second}, {503, "x", Reason5xx, 0}, {503, "-4", Reason5xx, 0}, {503, "999999", Reason5xx, maxRetryAfter},
		{503, "Thu, 01 Jan 1970 00:00:00 GMT", Reason5xx, 0},
	} {
		status, after = c.status, c.after
		_, err := d.Ask(context.Background(), asked)
		if f := wantFailure(t, err, api.StatusError, c.reason); f.RetryAfter != c.want || f.Retry != (c.status >= 500) {
			t.Errorf("%d %s: %+v", c.status, c.after, f)
		}
	}
	status, after = 408, ""
	_, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusTimeout, ReasonTimeout)
	status = 200
	if _, err := d.Ask(context.Background(), asked); err != nil {
		t.Error(err)
	}
	_, err = d.Ask(context.Background(), detect.Input{Content: "aGk=", Type: api.ContentImage})
	wantFailure(t, err, api.StatusUnsupported, ReasonContentType)
}

// What is no HTTP is garbage, and says nothing of itself.
func TestNoHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talk sync.WaitGroup
	talk.Go(func() {
		for _, answer := range []string{"SSH-2.0-OpenSSH " + secret + "\r\n\r\n", ""} {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			c.Close()
		}
	})
	defer talk.Wait()
	defer l.Close()
	d := fmsAt(t, "http://"+l.Addr().String())
	_, err = d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonGarbage)
	if strings.Contains(fmt.Sprintf("%+v", err), secret) {
		t.Error(err)
	}
	_, err = d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonClosed)
}

// An address that the guard does not let through to gets no connection, also behind a name, and by TLS or without.
func TestRefused(t *testing.T) {
	other := egress.New(nil)
	for _, at := range []string{"https://localhost:9999/", "https://LOCALHOST:9999/"} {
		d := made(t, Spec{Name: "d", Kind: "presidio", URL: at}, other)
		_, err := d.Ask(context.Background(), asked)
		if f := wantFailure(t, err, api.StatusError, ReasonRefused); f.Retry || !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%+v", f)
		}
		wantFailure(t, d.Health(context.Background()), api.StatusError, ReasonRefused)
	}
	if _, err := New(Spec{Name: "d", Kind: "presidio", URL: "https://127.0.0.1"}, other); !errors.Is(err, egress.ErrRefused) {
		t.Error(err)
	}
}

// TLS is spoken with who has a certificate that is trusted, within the deadline, and with nobody else.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `[]`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	spec := Spec{Name: "d", Kind: "presidio", URL: s.URL}
	_, err := made(t, spec, local).Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonTLS)

	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	d, err := build(spec, local, trusted)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		if out, err := d.Ask(context.Background(), asked); err != nil || !out.Findings[0].Clean {
			t.Errorf("%+v %v", out, err)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	spec.URL = "https://" + l.Addr().String()
	d = made(t, spec, local)
	if _, err := d.Ask(soon(t, 100*time.Millisecond), asked); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	d.work.running.Wait()
	if err := d.Health(soon(t, time.Nanosecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// Health asks where the kind or the description says, without the key where that is another host.
func TestHealth(t *testing.T) {
	var got []string
	ok := true
	serve := func(name string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, fmt.Sprint(name, " ", r.Method, " ", r.URL, " ", r.Header.Get("Authorization")))
			if !ok {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
	}
	one, two := serve("one"), serve("two")
	defer one.Close()
	defer two.Close()
	for _, c := range []struct{ url, health, want string }{
		{one.URL + "/a/api/v1/text/contents?x=1", "", "one GET /health Bearer " + secret},
		{one.URL, one.URL + "/ready?x=1", "one GET /ready?x=1 Bearer " + secret},
		{one.URL, two.URL + "/live", "two GET /live "},
	} {
		d := made(t, Spec{Name: "d", Kind: "fms", URL: c.url, HealthURL: c.health, Covers: []string{"PII"}, Auth: Auth{Type: "bearer", Token: secret}}, local)
		got, ok = nil, true
		if err := d.Health(context.Background()); err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%v %v, want %s", got, err, c.want)
		}
		ok = false
		wantFailure(t, d.Health(context.Background()), api.StatusError, Reason5xx)
	}
	d := made(t, Spec{Name: "d", Kind: "openai-moderation", URL: one.URL}, local)
	got = nil
	if err := d.Health(context.Background()); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	one.Close()
	wantFailure(t, d.Health(context.Background()), api.StatusError, ReasonClosed)
}

// A detector is what its description says, or what its kind says where that does not.
func TestSource(t *testing.T) {
	once := false
	d := made(t, Spec{Name: "a", Version: "3", Kind: "azure-content-safety", URL: "https://example.com"}, local)
	if d.Name() != "a" || d.Version() != "3" || d.Window() != 10_000 || fmt.Sprint(d.Covers()) != "[HARM]" || !d.Takes(api.ContentCode) || d.Takes(api.ContentImage) || !d.Idempotent() {
		t.Errorf("%+v", d.spec)
	}
	d = made(t, Spec{Name: "a", Kind: "azure-content-safety", URL: "https://example.com", Window: 5, Covers: []string{"PII"}, ContentTypes: []api.ContentType{api.ContentImage}, Idempotent: &once}, local)
	if d.Window() != 5 || fmt.Sprint(d.Covers()) != "[PII]" || d.Takes(api.ContentText) || !d.Takes(api.ContentImage) || d.Idempotent() {
		t.Errorf("%+v", d.spec)
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct{ kind, url, want string }{
		{"fms", "http://h:8000", "http://h:8000/api/v1/text/contents"},
		{"fms", "http://h:8000/", "http://h:8000/api/v1/text/contents"},
		{"fms", "http://h/detectors/a/", "http://h/detectors/a/api/v1/text/contents"},
		{"openai-moderation", "https://api.openai.com", "https://api.openai.com/v1/moderations"},
		{"openai-moderation", "https://h/openai/v1/?x=1", "https://h/openai/v1/moderations?x=1"},
		{"chat", "https://h/api/chat/completions", "https://h/api/chat/completions"},
		{"azure-prompt-shields", "https://h.cognitiveservices.azure.com/", "https://h.cognitiveservices.azure.com/contentsafety/text:shieldPrompt"},
		{"http", "https://h/a%2Fb/../c/?x", "https://h/a%2Fb/../c/?x"},
		{"http", "https://h", "https://h"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		k := kinds[c.kind]
		if got := k.target(u, k.leaf, nil); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.kind, c.url, got, c.want)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `"`+r.RequestURI+`"`) }))
	defer s.Close()
	d := made(t, Spec{Name: "d", Kind: "http", URL: s.URL + "/a%2Fb//c/?x", Covers: []string{"PII"}, Template: `"{{content}}"`, Findings: Findings{Path: "$", Label: "$"}}, local)
	out, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonShape) // ? and % are in no label
	req := &fasthttp.Request{}
	req.SetRequestURI(d.text)
	if body, err := d.send(context.Background(), d.ask, req, false); err != nil || body != `"/a%2Fb//c/?x"` {
		t.Errorf("%s %v %+v", body, err, out)
	}
}
