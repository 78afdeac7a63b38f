package task

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

// message is what a receiver was sent.
type message struct {
	http.Header
	body []byte
}

// receiver answers webhooks with statuses, the last of them for ever.
func receiver(t *testing.T, statuses ...int) (url string, got chan message) {
	t.Helper()
	got = make(chan message, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.String() != "/hook//x?secret=canary" {
			t.Error(err, r.Method, r.URL)
		}
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		got <- message{r.Header, body}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook//x?secret=canary", got
}

// hasten lets what is to be retried be retried at once.
func (f *fixture) hasten(t *testing.T) {
	t.Helper()
	until(t, "to be retried", func() bool {
		return f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE state = 'retryable' AND kind = 'task_webhook'") == 1
	})
	f.exec(t, "UPDATE orchestration.river_job SET state = 'available', scheduled_at = now() WHERE state = 'retryable'")
}

// verify checks a message as the reference implementation of Standard Webhooks does, with what the tenant was shown.
func verify(t *testing.T, secret string, m message) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(secret, "whsec_") {
		t.Fatal(secret, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(slices.Concat([]byte(m.Get("webhook-id")), []byte("."), []byte(m.Get("webhook-timestamp")), []byte("."), m.body))
	version, signature, _ := strings.Cut(m.Get("webhook-signature"), ",")
	sent, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || version != "v1" || !hmac.Equal(sent, mac.Sum(nil)) || m.Get("webhook-id") == "" || m.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", m.Header, m.body)
	}
}

// A webhook is told until the receiver has it, under one id, signed so that the tenant can tell.
func TestWebhook(t *testing.T) {
	f := started(t)
	url, got := receiver(t, 500, 302, 204)
	j := f.submit(t, "a", "canary of what was asked", url)
	var secret, another api.WebhookSecret
	if f.do(t, "GET", "webhook-secret", "a", &secret) != 200 || f.do(t, "GET", "webhook-secret", "b", &another) != 200 || secret == another {
		t.Errorf("%v %v", secret, another)
	}
	first := <-got
	verify(t, secret.Secret, first)
	for range 2 {
		f.hasten(t)
		m := <-got
		verify(t, secret.Secret, m)
		if m.Get("webhook-id") != first.Get("webhook-id") || string(m.body) != string(first.body) {
			t.Errorf("%v %s, then %v %s", first.Header, first.body, m.Header, m.body)
		}
	}
	task := f.when(t, j.ID, func(j api.Task) bool { return j.Webhook.DeliveredAt != nil })
	var e api.TaskEvent
	if err := json.Unmarshal(first.body, &e); err != nil || e.Type != "orchestration.completed" || !e.Timestamp.Equal(*task.FinishedAt) ||
		e.Data != (api.TaskEnd{ID: j.ID, State: api.TaskCompleted, FinishedAt: e.Timestamp, ReceiptID: "receipt-1"}) || task.Webhook.Attempts != 3 {
		t.Errorf("%s %v %+v", first.body, err, task.Webhook)
	}
	f.clear(t)
	if n := testutil.ToFloat64(f.webhooks.WithLabelValues("delivered")); n != 1 {
		t.Errorf("%v deliveries", n)
	}
}

// Every end is told, also of a job that was cancelled before it ran; a receiver that wants no more is left alone, and so is one that
// never answers, after eight attempts.
func TestWebhookEnds(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	unwanted, got := receiver(t, 410)
	j := f.submit(t, "a", "x", unwanted)
	if status := f.do(t, "DELETE", "status/"+j.ID, "a", nil); status != 200 {
		t.Error(status)
	}
	f.run(t)
	var e api.TaskEvent
	if m := <-got; json.Unmarshal(m.body, &e) != nil || e.Type != "orchestration.cancelled" || e.Data.State != api.TaskCancelled {
		t.Errorf("%s", m.body)
	}
	givenUp := func(state string) {
		t.Helper()
		until(t, "given up", func() bool {
			return f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE kind = 'task_webhook' AND state = $1", state) == 1
		})
	}
	givenUp("cancelled")
	broken, got := receiver(t, 503)
	j = f.submit(t, "a", "wrong", broken)
	for n := range webhookAttempts {
		if m := <-got; json.Unmarshal(m.body, &e) != nil || e.Type != "orchestration.failed" || e.Data.ErrorCode != api.InvalidRequest {
			t.Errorf("%s", m.body)
		}
		if n < webhookAttempts-1 {
			f.hasten(t)
		}
	}
	givenUp("discarded")
	if n, of := testutil.ToFloat64(f.webhooks.WithLabelValues("given_up")), testutil.ToFloat64(f.webhooks.WithLabelValues("failed")); n != 2 || of != webhookAttempts-1 {
		t.Errorf("%v given up, %v failed", n, of)
	}
	if task := f.when(t, j.ID, ended); task.Webhook.Attempts != webhookAttempts || task.Webhook.DeliveredAt != nil {
		t.Errorf("%+v", task.Webhook)
	}
}

// Where nobody may be sent, nothing is sent; why is said without the URL.
func TestWebhookRefused(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	m := &messenger{Service: f.Service, client: newClient(f.guard, "https"), plain: newClient(f.guard, "http")}
	to, _ := receiver(t, 200)
	for to, want := range map[string]string{
		"https://10.1.2.3/": "the URL is no longer one that may be used", "https://localhost:1": "the URL is no longer one that may be used",
		strings.Replace(to, "http://", "https://", 1): "unreachable",
	} {
		if err := m.post(f.callers["a"].Tenant, to, "id", nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", to, err)
		}
	}
	m.plain.DialTimeout = egress.New(nil).Dial // the guard of a host where no network is allowed
	if err := m.post(f.callers["a"].Tenant, to, "id", nil); err == nil || err.Error() != "refused: the address may not be connected to" {
		t.Error(err)
	}
}

// The waits between attempts grow to ten minutes.
func TestWebhookWaits(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: 10 * time.Second, 4: 80 * time.Second, 7: 10 * time.Minute} {
		job := &river.Job[webhookArgs]{JobRow: &rivertype.JobRow{Attempt: attempt}}
		if wait := time.Until((&messenger{}).NextRetry(job)); wait > want || wait < want-5*time.Second {
			t.Errorf("%v after attempt %d", wait, attempt)
		}
	}
}

// The secret is for admins, the rest for whom may orchestrate.
func TestScopes(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	for _, r := range f.router.Routes() {
		if want := map[bool]string{true: access.Admin, false: access.Orchestrate}[strings.HasSuffix(r.Path, "secret")]; r.Scope != want {
			t.Errorf("%+v", r)
		}
	}
}
