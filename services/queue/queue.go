// Package queue runs a River client in replicas that may be killed. Each holds a lock in its client's name, on a
// connection, for as long as it lives; what River says is running under a name that nobody holds goes back to the
// queue within seconds. River's own rescue does the same, after minutes.
package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Connections is how many of the pool a Queue keeps: one for its lock, one to listen.
const Connections = 2

// Queue is a River client.
type Queue struct {
	*river.Client[pgx.Tx]
	Patience time.Duration // between two looks at what is left behind

	pool  *pgxpool.Pool
	table string // River's jobs
	log   *slog.Logger
	lease *pgxpool.Conn // holds the lock
}

// New makes a queue of River's tables in a schema. What c leaves open is set.
func New(pool *pgxpool.Pool, schema string, log *slog.Logger, c river.Config) (*Queue, error) {
	c.ID, c.Schema, c.Logger, c.FetchCooldown = rand.Text(), schema, log, 10*time.Millisecond
	c.RescueStuckJobsAfter = 2 * c.JobTimeout
	c.CompletedJobRetentionPeriod, c.CancelledJobRetentionPeriod, c.DiscardedJobRetentionPeriod = time.Hour, time.Hour, 24*time.Hour
	client, err := river.NewClient(riverpgxv5.New(pool), &c)
	return &Queue{Client: client, Patience: 2 * time.Second, pool: pool, table: pgx.Identifier{schema, "river_job"}.Sanitize(), log: log}, err
}

// Run works on jobs until ctx ends, and lets tidy look after what else is left behind; every replica does, so what
// another has done already is left alone. What is not done at the end goes back to the queue.
func (q *Queue) Run(ctx context.Context, tidy func(context.Context) error) {
	defer q.leave(ctx)
	if !q.begin(ctx) {
		return
	}
	for failing := false; Pause(ctx, q.Patience); {
		err := q.once(ctx, tidy)
		if err != nil && ctx.Err() == nil && !failing {
			q.log.Warn("jobs of replicas that have died, and jobs that have expired, wait", "cause", err.Error())
		}
		failing = err != nil
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := q.StopAndCancel(end); err != nil {
		q.log.Warn("jobs did not stop in time; another replica takes them up", "cause", err.Error())
	}
}

// begin says whether work has begun before ctx ended.
func (q *Queue) begin(ctx context.Context) bool {
	for failing := false; ; failing = true {
		err := q.hold(ctx)
		if err == nil {
			err = q.Start(context.WithoutCancel(ctx))
		}
		if err == nil {
			return true
		}
		if !failing {
			q.log.Warn("jobs wait until Postgres answers", "cause", err.Error())
		}
		if !Pause(ctx, q.Patience) {
			return false
		}
	}
}

// once does what is due.
func (q *Queue) once(ctx context.Context, tidy func(context.Context) error) error {
	if err := q.hold(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return errors.Join(q.takeOver(ctx), tidy(ctx))
}

// hold takes the lock, or sees that it is held still. An end of ctx does not interrupt it, which would cost the
// connection while work goes on.
func (q *Queue) hold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.Deadline)
	defer cancel()
	if q.lease != nil && q.lease.Ping(ctx) == nil {
		return nil
	}
	q.leave(ctx)
	conn, err := q.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	q.lease = conn
	mine := false
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended('llama-mapper replica ' || $1, 0))", q.ID()).Scan(&mine)
	if err == nil && !mine {
		err = errors.New("a connection that was lost still has the lock of this replica")
	}
	if err != nil {
		q.leave(ctx)
	}
	return err
}

// leave gives the lock up, and the connection with it.
func (q *Queue) leave(ctx context.Context) {
	if q.lease == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.Deadline)
	defer cancel()
	_ = q.lease.Conn().Close(ctx) // the pool makes another
	q.lease.Release()
	q.lease = nil
}

// takeOver gives what a replica was working on when it died back to the queue.
func (q *Queue) takeOver(ctx context.Context) error {
	_, err := q.pool.Exec(ctx, fmt.Sprintf(`WITH started AS MATERIALIZED (
			SELECT id, attempted_by, attempted_by[array_upper(attempted_by, 1)] AS replica
			FROM %[1]s WHERE state = 'running' AND attempted_at < now() - interval '2 seconds'),
		replicas AS MATERIALIZED (SELECT DISTINCT replica FROM started),
		dead AS MATERIALIZED (SELECT replica FROM replicas WHERE pg_try_advisory_xact_lock(hashtextextended('llama-mapper replica ' || replica, 0)))
		UPDATE %[1]s r SET state = 'available', scheduled_at = now() FROM started JOIN dead USING (replica)
		WHERE r.id = started.id AND r.state = 'running' AND r.attempted_by = started.attempted_by`, q.table))
	return err
}

// Pause waits, and says whether ctx goes on.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
