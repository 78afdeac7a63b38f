package bulk

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// worker is what River calls for a chunk.
type worker struct {
	river.WorkerDefaults[args]
	*Service
}

// work is a chunk that is worked on.
type work struct {
	args
	tenant *access.Tenant
	keyID  string
	view   api.View
	first  int64
	lines  int
	input  []byte
}

// errGone says that a chunk needs no work: it is done, or its job was cancelled or deleted.
var errGone = errors.New("there is nothing to do")

// Work implements river.Worker. Its errors are kept by River and have no content.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	err := w.do(ctx, job)
	switch {
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, access.ErrShredded):
		return river.JobCancel(err)
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		return river.JobSnooze(0) // this process stops, or has no time; it was no attempt
	}
	return err
}

// NextRetry implements river.Worker: soon at first, a minute apart at last.
func (w *worker) NextRetry(job *river.Job[args]) time.Time {
	return time.Now().Add(min(time.Minute, time.Second<<min(job.Attempt, 6)))
}

// do maps a chunk and keeps what came out.
func (w *worker) do(ctx context.Context, job *river.Job[args]) error {
	todo, err := w.load(ctx, job.Args)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, w.patient)
	defer cancel()
	out, err := w.answer(limited, todo)
	if err != nil && ctx.Err() == nil && (limited.Err() != nil || api.AsError(err).Code == api.Unavailable) {
		return river.JobSnooze(5 * time.Second) // requests came first, the model is slow, or it is stopping
	}
	if err != nil && ctx.Err() == nil && job.Attempt >= job.MaxAttempts && !errors.Is(err, access.ErrShredded) {
		w.log.Error("lines of a job have no answer", "lines", todo.lines, "cause", err.Error())
		out, err = todo.failAll(todo.lines)
	}
	if err != nil {
		return err
	}
	if err := w.keep(ctx, job, todo, out); err != nil {
		return err
	}
	w.Service.lines.WithLabelValues("answered").Add(float64(todo.lines - out.failed))
	w.Service.lines.WithLabelValues("failed").Add(float64(out.failed))
	return nil
}

// load reads a chunk that is to be worked on.
func (w *worker) load(ctx context.Context, a args) (*work, error) {
	t, err := w.tenants.Tenant(a.Tenant)
	if err != nil {
		return nil, err
	}
	todo := &work{args: a, tenant: t}
	err = postgres.InTenant(ctx, w.pool, a.Tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT j.key_id, j.model_only, j.controls, j.taxonomy, c.first, c.lines, c.input
			FROM mapper.job_chunks c JOIN mapper.jobs j ON j.tenant = c.tenant AND j.id = c.job
			WHERE c.tenant = $1 AND c.job = $2 AND c.number = $3 AND c.state = 'queued' AND j.state = 'running'`, a.Tenant, a.Job, a.Number).
			Scan(&todo.keyID, &todo.view.ModelOnly, &todo.view.Controls, &todo.view.Taxonomy, &todo.first, &todo.lines, &todo.input)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = errGone
	}
	return todo, err
}

// keep is the transaction that makes a chunk done. Locks come in one order everywhere: job, chunk, chain, share.
func (w *worker) keep(ctx context.Context, job *river.Job[args], todo *work, out answers) error {
	sealed, err := w.pack.seal(todo.tenant.Vault, place("result", todo.Job, todo.Number), out.result)
	if err != nil {
		return err
	}
	a := todo.args
	return postgres.InTenant(ctx, w.pool, a.Tenant, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE mapper.jobs SET done = done + $3, failed = failed + $4,
			state = CASE WHEN done + $3 = lines THEN 'done' ELSE state END, finished_at = CASE WHEN done + $3 = lines THEN clock_timestamp() END
			WHERE tenant = $1 AND id = $2 AND state = 'running'`, a.Tenant, a.Job, todo.lines, out.failed)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return errGone
		}
		tag, err = tx.Exec(ctx, `UPDATE mapper.job_chunks SET state = 'done', failed = $4, result = $5, input = NULL, done_at = clock_timestamp()
			WHERE tenant = $1 AND job = $2 AND number = $3 AND state = 'queued'`, a.Tenant, a.Job, a.Number, out.failed, sealed)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return errGone
		}
		events, err := audit.Entries(out.events)
		if err != nil {
			return err
		}
		if err := audit.Append(ctx, tx, todo.tenant, events); err != nil {
			return err
		}
		if err := w.fill(ctx, tx, a.Tenant); err != nil {
			return err
		}
		// Where River has given the chunk to somebody else meanwhile, that one will find it done.
		if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
		return nil
	})
}
