package task

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// tenantLock is the number of an advisory lock of a tenant's submissions.
const tenantLock = "hashtextextended('llama-mapper tasks ' || $1, 0)"

// Submit has a request worked on in the background; once it has ended, the URL of a webhook is told, if there is one.
func (s *Service) Submit(ctx context.Context, c access.Caller, request []byte, webhook string) (t api.Task, err error) {
	if len(request) > api.MaxOrchestrateBody {
		return t, api.Errorf(api.PayloadTooLarge, "a request in the background may have %d bytes", api.MaxOrchestrateBody)
	}
	id := strings.ToLower(rand.Text())
	sealed, key, err := sealRequest(c.Tenant.Vault, id, request)
	if err != nil {
		return t, err
	}
	var hook []byte
	if webhook != "" {
		if _, err := s.guard.Check(webhook); err != nil {
			return t, api.Errorf(api.InvalidRequest, "webhook_url: %v", err)
		}
		if hook, err = put(c.Tenant.Vault, "webhook", id, []byte(webhook)); err != nil {
			return t, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	err = postgres.InTenant(ctx, s.pool, c.Tenant.ID, func(tx pgx.Tx) error {
		priority, err := admit(ctx, tx, c.Tenant.ID, len(sealed))
		if err != nil {
			return err
		}
		made, err := s.river.InsertTx(ctx, tx, args{c.Tenant.ID, id}, &river.InsertOpts{Priority: priority})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO orchestration.jobs (tenant, id, key_id, river_id, request, key, webhook) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			c.Tenant.ID, id, c.Key.ID, made.Job.ID, sealed, key, hook); err != nil {
			return err
		}
		t, err = read(ctx, tx, c.Tenant, id)
		return err
	})
	return t, postgres.Away(err)
}

// admit refuses a tenant that has enough open. The more it has, the later it comes: 1 is River's first priority, 4 its last.
func admit(ctx context.Context, tx pgx.Tx, tenant string, size int) (priority int, err error) {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+tenantLock+")", tenant); err != nil {
		return 0, err
	}
	var open, bytes int
	err = tx.QueryRow(ctx, `SELECT count(*), coalesce(sum(octet_length(request)), 0) FROM orchestration.jobs
		WHERE tenant = $1 AND state IN ('pending', 'running')`, tenant).Scan(&open, &bytes)
	if err == nil && (open >= openJobs || bytes+size > openSize) {
		e := api.Errorf(api.Overloaded, "the tenant has %d jobs of %d MB that have not ended; wait for some of them, or cancel them", open, bytes>>20)
		e.RetryAfter = 5 * time.Second
		err = e
	}
	for _, n := range []int{workers, 8 * workers, 32 * workers} {
		if open >= n {
			priority++
		}
	}
	return priority + 1, err
}

const selectTasks = `SELECT id, state, progress, created_at, started_at, finished_at, coalesce(receipt, ''), error_code, coalesce(error_message, ''),
	webhook IS NOT NULL, webhook_attempts, webhook_delivered FROM orchestration.jobs WHERE tenant = $1 `

func scanTask(row pgx.CollectableRow) (t api.Task, err error) {
	var code *api.Code
	var message string
	var told bool
	var hook api.TaskWebhook
	err = row.Scan(&t.ID, &t.State, &t.Progress, &t.CreatedAt, &t.StartedAt, &t.FinishedAt, &t.ReceiptID, &code, &message, &told, &hook.Attempts, &hook.DeliveredAt)
	t.CreatedAt = t.CreatedAt.UTC()
	for _, at := range []*time.Time{t.StartedAt, t.FinishedAt, hook.DeliveredAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	if t.FinishedAt != nil {
		expires := t.FinishedAt.Add(retention)
		t.ExpiresAt = &expires
	}
	if code != nil {
		t.Error = api.Errorf(*code, "%s", message)
	}
	if told {
		t.Webhook = &hook
	}
	return t, err
}

func errNoTask() error { return api.Errorf(api.NotFound, "there is no such job; it may have expired") }

// read returns a task with its result.
func read(ctx context.Context, tx pgx.Tx, t *access.Tenant, id string) (task api.Task, err error) {
	rows, err := tx.Query(ctx, selectTasks+"AND id = $2", t.ID, id)
	if err != nil {
		return task, err
	}
	task, err = pgx.CollectExactlyOneRow(rows, scanTask)
	if errors.Is(err, pgx.ErrNoRows) {
		return task, errNoTask()
	}
	if err != nil || task.State != api.TaskCompleted {
		return task, err
	}
	var sealed []byte
	if err := tx.QueryRow(ctx, "SELECT result FROM orchestration.jobs WHERE tenant = $1 AND id = $2", t.ID, id).Scan(&sealed); err != nil {
		return task, err
	}
	task.Result, err = take(t.Vault, "result", id, sealed)
	return task, err
}

func (s *Service) task(ctx context.Context, t *access.Tenant, id string) (task api.Task, err error) {
	err = postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		task, err = read(ctx, tx, t, id)
		return err
	})
	return task, err
}

func (s *Service) tasks(ctx context.Context, tenant string) (all []api.Task, err error) {
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectTasks+"ORDER BY created_at DESC, id LIMIT $2", tenant, listed)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanTask)
		return err
	})
	return all, err
}

// cancel ends a job. Who works on it stops: River ends its context, and what it has found is not kept.
func (s *Service) cancel(ctx context.Context, t *access.Tenant, id string) (task api.Task, err error) {
	err = postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		if task, err = read(ctx, tx, t, id); err != nil {
			return err
		}
		inRiver, err := s.close(ctx, tx, t, id, ending{state: api.TaskCancelled})
		if errors.Is(err, errGone) {
			return api.Errorf(api.Conflict, "the job has ended; there is nothing to cancel")
		}
		if err != nil {
			return err
		}
		if _, err := s.river.JobCancelTx(ctx, tx, inRiver); err != nil && !errors.Is(err, river.ErrNotFound) {
			return err
		}
		task, err = read(ctx, tx, t, id)
		return err
	})
	if err == nil {
		s.count(task)
	}
	return task, err
}

// count counts a task that has ended.
func (s *Service) count(t api.Task) {
	s.ended.WithLabelValues(string(t.State)).Inc()
	s.seconds.Observe(t.FinishedAt.Sub(t.CreatedAt).Seconds())
}

// tidy looks after what is left behind.
func (s *Service) tidy(ctx context.Context) error {
	return errors.Join(s.requeue(ctx), s.remove(ctx))
}

// requeue finds jobs that River has given up or lost.
func (s *Service) requeue(ctx context.Context) error {
	return postgres.InTenant(ctx, s.pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT tenant, id FROM orchestration.jobs j WHERE state IN ('pending', 'running') AND NOT EXISTS (
			SELECT FROM orchestration.river_job r WHERE r.id = j.river_id AND r.state NOT IN ('cancelled', 'completed', 'discarded'))
			LIMIT 100 FOR UPDATE SKIP LOCKED`)
		if err != nil {
			return err
		}
		lost, err := pgx.CollectRows(rows, pgx.RowToStructByPos[args])
		if err != nil {
			return err
		}
		for _, a := range lost {
			made, err := s.river.InsertTx(ctx, tx, a, nil)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "UPDATE orchestration.jobs SET river_id = $3 WHERE tenant = $1 AND id = $2", a.Tenant, a.Job, made.Job.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove deletes jobs that have expired, and all that deleted tenants had.
func (s *Service) remove(ctx context.Context) error {
	gone := access.Deleted(s.tenants.Tenants())
	return postgres.InTenant(ctx, s.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM orchestration.jobs WHERE finished_at < now() - $1::interval OR tenant = ANY ($2)", retention, gone)
		return err
	})
}
