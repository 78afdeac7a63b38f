package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/queue"
)

const tasks = "task" // River's name of the queue

// args are River's: which job, and nothing of it.
type args struct {
	Tenant string `json:"tenant"`
	Job    string `json:"job"`
}

// Kind implements river.JobArgs.
func (args) Kind() string { return "task" }

// InsertOpts implements river.JobArgsWithInsertOpts. How often a job may fail is ours to count.
func (args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: tasks, MaxAttempts: 2 * starts}
}

// worker is what River calls for a job.
type worker struct {
	river.WorkerDefaults[args]
	*Service
}

// work is a job that is worked on.
type work struct {
	args
	tenant  *access.Tenant
	keyID   string
	request []byte // sealed, as is key
	key     []byte
}

// ending is how a job ends.
type ending struct {
	state api.TaskState
	Answer
	err *api.Error
}

// errGone says that a job needs no work: it has ended, or was deleted.
var errGone = errors.New("there is nothing to do")

// Work implements river.Worker. Its errors are kept by River and have no content.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	todo, err := w.begin(ctx, job.Args)
	var e ending
	if err == nil {
		e, err = w.attempt(ctx, job, todo)
	}
	if err == nil {
		err = w.end(ctx, job, todo.tenant, e)
	}
	if lasting(err) {
		w.log.Error("a job's answer cannot be kept", "job", todo.Job, "cause", err.Error())
		err = w.end(ctx, job, todo.tenant, failed(errInternal()))
	}
	var again retry
	switch {
	case err == nil || errors.Is(err, errGone):
		return nil
	case errors.Is(err, access.ErrShredded):
		return river.JobCancel(err)
	case errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		return context.Cause(ctx)
	case ctx.Err() != nil:
		return river.JobSnooze(0) // this process stops; it was no attempt
	case !errors.As(err, &again):
		w.log.Debug("a job waits", "cause", err.Error())
		return river.JobSnooze(time.Second)
	}
	return err
}

// lasting says whether an error of a transaction would be there again.
func lasting(err error) bool {
	var ours *api.Error
	return err != nil && !errors.As(postgres.Away(err), &ours)
}

func failed(e *api.Error) ending { return ending{state: api.TaskFailed, err: e} }

func errInternal() *api.Error {
	return api.Errorf(api.Internal, "something failed on our side; the log has it under this job_id")
}

// NextRetry implements river.Worker.
func (w *worker) NextRetry(job *river.Job[args]) time.Time {
	return time.Now().Add(time.Second << min(len(job.Errors), attempts))
}

// begin reads a job that is to be worked on.
func (w *worker) begin(ctx context.Context, a args) (*work, error) {
	t, err := w.tenants.Tenant(a.Tenant)
	if err != nil {
		return nil, err // this replica may learn of it yet
	}
	todo := &work{args: a, tenant: t}
	err = postgres.InTenant(ctx, w.pool, a.Tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `UPDATE orchestration.jobs SET state = 'running', started_at = coalesce(started_at, clock_timestamp())
			WHERE tenant = $1 AND id = $2 AND state IN ('pending', 'running') RETURNING key_id, request, key`, a.Tenant, a.Job).
			Scan(&todo.keyID, &todo.request, &todo.key)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = errGone
	}
	return todo, err
}

// retry is the error of an attempt that was not the last.
type retry struct{ code api.Code }

func (r retry) Error() string { return string(r.code) }

// attempt has a request answered, or says how the job ends without an answer.
func (w *worker) attempt(ctx context.Context, job *river.Job[args], todo *work) (ending, error) {
	if job.Attempt > starts {
		w.log.Error("a job did not come to its end; it may be what ends its replicas", "job", todo.Job, "starts", starts)
		return failed(api.Errorf(api.Internal, "the job did not come to its end in %d starts; send it again", starts)), nil
	}
	limited, cancel := context.WithTimeout(ctx, api.MaxAsync)
	defer cancel()
	answer, err := w.run(limited, todo)
	e := api.AsError(err)
	switch {
	case err == nil:
		return ending{state: api.TaskCompleted, Answer: answer}, nil
	case errors.Is(err, access.ErrShredded):
		return ending{}, err
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return failed(api.Errorf(api.RequestTimeout, "there was no answer in %v", api.MaxAsync)), nil
	case ctx.Err() != nil:
		return ending{}, ctx.Err()
	case e.Retryable && len(job.Errors)+1 < attempts:
		return ending{}, retry{e.Code}
	case e.Code == api.Internal:
		w.log.Error("a job failed", "job", todo.Job, "cause", fmt.Sprint(e.Err))
		return failed(errInternal()), nil
	}
	return failed(e), nil
}

// run has a request answered, writes down how far it is, and makes an error of a panic, whose value may hold content and
// must not get to River.
func (w *worker) run(ctx context.Context, todo *work) (a Answer, err error) {
	request, err := openRequest(todo.tenant.Vault, todo.Job, todo.request, todo.key)
	if err != nil {
		return a, err
	}
	m := meter{latest: make(chan float64, 1)}
	following, cancel := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() { w.follow(following, todo, &m) })
	defer follower.Wait()
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T at %s", v, debug.Stack())
		}
	}()
	return w.runner.Run(ctx, access.Caller{Key: &access.Key{ID: todo.keyID, Tenant: todo.Tenant}, Tenant: todo.tenant}, request, m.report)
}

// meter has what a Runner said last of its progress.
type meter struct {
	mu     sync.Mutex // of those who report
	latest chan float64
}

func (m *meter) report(done float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.latest:
	default:
	}
	m.latest <- done
}

// follow keeps progress, twice a second at most. It never goes back, and what is no share of 1 is left out.
func (w *worker) follow(ctx context.Context, todo *work, m *meter) {
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-m.latest:
			if !(done > 0 && done <= 1) {
				continue
			}
			if err := w.advance(ctx, todo, done); err != nil {
				w.log.Debug("progress is not kept", "cause", err.Error())
			}
		}
		if !queue.Pause(ctx, 500*time.Millisecond) {
			return
		}
	}
}

// advance keeps progress. An end of ctx does not interrupt it, which would cost a connection.
func (w *worker) advance(ctx context.Context, todo *work, done float64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.Deadline)
	defer cancel()
	return postgres.InTenant(ctx, w.pool, todo.Tenant, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE orchestration.jobs SET progress = greatest(progress, $3) WHERE tenant = $1 AND id = $2 AND state = 'running'", todo.Tenant, todo.Job, done)
		return err
	})
}

// end is the transaction that ends a job that was worked on; an end of ctx does not interrupt it. Locks come in one order
// everywhere: job, chain, River's job.
func (w *worker) end(ctx context.Context, job *river.Job[args], t *access.Tenant, e ending) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	var task api.Task
	err := postgres.InTenant(ctx, w.pool, t.ID, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		_, err := w.close(ctx, tx, t, job.Args.Job, e)
		if err != nil {
			return err
		}
		if task, err = read(ctx, tx, t, job.Args.Job); err != nil {
			return err
		}
		if err := audit.Append(ctx, tx, t, e.Events); err != nil {
			return err
		}
		// Where River has given the job to somebody else meanwhile, that one will find that it has ended.
		if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
		return nil
	})
	if err == nil {
		w.count(task)
	}
	return err
}

// close ends a job and queues its webhook; what was asked is destroyed, and the key that it was sealed with.
func (s *Service) close(ctx context.Context, tx pgx.Tx, t *access.Tenant, id string, e ending) (inRiver int64, err error) {
	var result []byte
	if e.state == api.TaskCompleted {
		if result, err = put(t.Vault, "result", id, e.Result); err != nil {
			return 0, err
		}
	}
	var code, message *string
	if e.err != nil {
		code, message = (*string)(&e.err.Code), &e.err.Message
	}
	var told bool
	err = tx.QueryRow(ctx, `UPDATE orchestration.jobs SET state = $3, progress = CASE WHEN $3 = 'completed' THEN 1 ELSE progress END,
			finished_at = clock_timestamp(), request = NULL, key = NULL, result = $4, receipt = nullif($5, ''), error_code = $6, error_message = $7
			WHERE tenant = $1 AND id = $2 AND state IN ('pending', 'running') RETURNING river_id, webhook IS NOT NULL`,
		t.ID, id, string(e.state), result, e.ReceiptID, code, message).Scan(&inRiver, &told)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errGone
	}
	if err == nil && told {
		_, err = s.river.InsertTx(ctx, tx, webhookArgs{t.ID, id}, nil)
	}
	return inRiver, err
}
