package task

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

const (
	webhooks        = "task_webhook" // River's name of the queue
	webhookAttempts = 8
	webhookTime     = 5 * time.Second
	webhookWait     = 10 * time.Minute // the longest between two attempts
)

// webhookArgs are River's: which job has ended.
type webhookArgs args

// Kind implements river.JobArgs.
func (webhookArgs) Kind() string { return "task_webhook" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (webhookArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: webhooks, MaxAttempts: webhookAttempts}
}

// messenger is what River calls for a webhook.
type messenger struct {
	river.WorkerDefaults[webhookArgs]
	*Service
	client *fasthttp.Client // of https
	plain  *fasthttp.Client // of http, to the networks that are allowed
}

func newClient(guard *egress.Guard, scheme string) *fasthttp.Client {
	return &fasthttp.Client{
		DialTimeout: guard.For(&url.URL{Scheme: scheme}).Dial, MaxIdemponentCallAttempts: 1, ReadTimeout: webhookTime, WriteTimeout: webhookTime,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
	}
}

// NextRetry implements river.Worker: soon at first, ten minutes apart at last.
func (m *messenger) NextRetry(job *river.Job[webhookArgs]) time.Time {
	return time.Now().Add(min(webhookWait, 5*time.Second<<job.Attempt))
}

// Work implements river.Worker. Its errors are kept by River and have no content.
func (m *messenger) Work(ctx context.Context, job *river.Job[webhookArgs]) error {
	t, err := m.tenants.Tenant(job.Args.Tenant)
	if err != nil {
		return river.JobSnooze(time.Second) // this replica may learn of it yet
	}
	to, body, err := m.load(ctx, t, job.Args.Job)
	switch {
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, access.ErrShredded):
		return river.JobCancel(err)
	case err != nil:
		m.log.Debug("a webhook waits", "cause", err.Error())
		return errors.New("what to tell could not be read")
	}
	err = m.post(t, to, "task_"+job.Args.Job, body)
	if errors.Is(err, errUnwanted) {
		err = river.JobCancel(err)
	}
	switch {
	case err == nil:
		m.webhooks.WithLabelValues("delivered").Inc()
		return m.delivered(ctx, job)
	case errors.Is(err, errUnwanted) || job.Attempt >= job.MaxAttempts:
		m.webhooks.WithLabelValues("given_up").Inc()
	default:
		m.webhooks.WithLabelValues("failed").Inc()
	}
	return err
}

// load reads whom to tell and what, and counts the attempt.
func (m *messenger) load(ctx context.Context, t *access.Tenant, id string) (to string, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	var sealed []byte
	var end api.TaskEnd
	err = postgres.InTenant(ctx, m.pool, t.ID, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `UPDATE orchestration.jobs SET webhook_attempts = webhook_attempts + 1
			WHERE tenant = $1 AND id = $2 AND finished_at IS NOT NULL AND webhook IS NOT NULL AND webhook_delivered IS NULL
			RETURNING webhook, id, state, finished_at, coalesce(receipt, ''), coalesce(error_code, '')`, t.ID, id).
			Scan(&sealed, &end.ID, &end.State, &end.FinishedAt, &end.ReceiptID, &end.ErrorCode)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = errGone
	}
	if err != nil {
		return "", nil, err
	}
	raw, err := take(t.Vault, "webhook", id, sealed)
	if err != nil {
		return "", nil, err
	}
	end.FinishedAt = end.FinishedAt.UTC()
	body, err = json.Marshal(api.TaskEvent{Type: "orchestration." + string(end.State), Timestamp: end.FinishedAt, Data: end})
	return string(raw), body, err
}

// errUnwanted says that the receiver wants no more of it.
var errUnwanted = errors.New("status 410")

// post sends one message; whatever is answered, only its status is read.
func (m *messenger) post(t *access.Tenant, to, id string, body []byte) error {
	u, err := m.guard.Check(to)
	if err != nil {
		return errors.New("the URL is no longer one that may be used")
	}
	secret, err := t.Vault.Webhooks()
	if err != nil {
		return err
	}
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.SetRequestURI(u.String())
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", sign(secret, id, at, body))
	req.SetConnectionClose()
	req.SetBodyRaw(body)
	res.SkipBody = true
	client := m.client
	if u.Scheme == "http" {
		client = m.plain
	}
	err = client.DoTimeout(req, res, webhookTime)
	switch status := res.StatusCode(); {
	case errors.Is(err, egress.ErrRefused):
		return errors.New("refused: the address may not be connected to")
	case errors.Is(err, fasthttp.ErrTimeout):
		return errors.New("timeout")
	case err != nil:
		return errors.New("unreachable")
	case status == fasthttp.StatusGone:
		return errUnwanted
	case status < 200 || status > 299:
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// sign makes a signature of Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.
func sign(secret []byte, id, at string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(id + "." + at + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// delivered notes a delivery. If that fails the webhook is told again: it knows by the id.
func (m *messenger) delivered(ctx context.Context, job *river.Job[webhookArgs]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.Deadline)
	defer cancel()
	return postgres.InTenant(ctx, m.pool, job.Args.Tenant, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE orchestration.jobs SET webhook_delivered = clock_timestamp() WHERE tenant = $1 AND id = $2", job.Args.Tenant, job.Args.Job)
		return err
	})
}
