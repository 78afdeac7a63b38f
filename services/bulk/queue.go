package bulk

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/queue"
)

const chunks = "bulk" // River's name of the queue

// args are River's: which chunk, and nothing of it.
type args struct {
	Tenant string `json:"tenant"`
	Job    string `json:"job"`
	Number int    `json:"number"`
}

// Kind implements river.JobArgs.
func (args) Kind() string { return "bulk_chunk" }

// InsertOpts implements river.JobArgsWithInsertOpts: a chunk is in the queue once.
func (args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: chunks, MaxAttempts: attempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

func newRiver(s *Service) (*queue.Queue, error) {
	all := river.NewWorkers()
	if err := river.AddWorkerSafely(all, &worker{Service: s}); err != nil {
		return nil, err
	}
	return queue.New(s.pool, "mapper", s.log, river.Config{
		Workers: all, Queues: map[string]river.QueueConfig{chunks: {MaxWorkers: workers}}, JobTimeout: chunkTimeout,
	})
}

// shareLock is the number of an advisory lock of a tenant's share.
const shareLock = "hashtextextended('llama-mapper share ' || $1, 0)"

// fill queues a tenant's next chunks, as many as its share has room for. It comes last in a transaction of the tenant:
// it holds the tenant's lock to the end of it, and waits for no row.
func (s *Service) fill(ctx context.Context, tx pgx.Tx, tenant string) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+shareLock+")", tenant); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT c.job, c.number FROM mapper.job_chunks c JOIN mapper.jobs j ON j.tenant = c.tenant AND j.id = c.job
		WHERE c.tenant = $1 AND c.state = 'waiting' AND j.state = 'running' ORDER BY j.started_at, j.id, c.number
		LIMIT greatest(0, $2 - (SELECT count(*) FROM mapper.job_chunks WHERE tenant = $1 AND state = 'queued'))
		FOR UPDATE OF c SKIP LOCKED`, tenant, tenantShare)
	if err != nil {
		return err
	}
	next, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (a args, err error) {
		a.Tenant = tenant
		return a, r.Scan(&a.Job, &a.Number)
	})
	if err != nil {
		return err
	}
	for _, a := range next {
		made, err := s.river.InsertTx(ctx, tx, a, nil)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE mapper.job_chunks SET state = 'queued', river_id = $4 WHERE tenant = $1 AND job = $2 AND number = $3",
			tenant, a.Job, a.Number, made.Job.ID); err != nil {
			return err
		}
	}
	return nil
}

// requeue finds chunks that River has given up, and tenants whose share has room.
func (s *Service) requeue(ctx context.Context) error {
	var open []string
	err := postgres.InTenant(ctx, s.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE mapper.job_chunks c SET state = 'waiting', river_id = NULL WHERE c.state = 'queued' AND NOT EXISTS (
			SELECT FROM mapper.river_job r WHERE r.id = c.river_id AND r.state NOT IN ('cancelled', 'completed', 'discarded'))`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT DISTINCT c.tenant FROM mapper.job_chunks c JOIN mapper.jobs j ON j.tenant = c.tenant AND j.id = c.job
			WHERE c.state = 'waiting' AND j.state = 'running'`)
		if err != nil {
			return err
		}
		open, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	for _, tenant := range open {
		if err != nil {
			break
		}
		err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error { return s.fill(ctx, tx, tenant) })
	}
	return err
}
