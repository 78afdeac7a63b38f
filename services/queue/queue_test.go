package queue

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

type args struct{ N int }

func (args) Kind() string { return "test" }

type worker struct {
	river.WorkerDefaults[args]
	done chan int
}

func (w *worker) Work(_ context.Context, job *river.Job[args]) error {
	w.done <- job.Args.N
	return nil
}

// replica runs a queue until the test ends, and puts the numbers of jobs into done.
func replica(t *testing.T, d config.Database, done chan int) *Queue {
	t.Helper()
	all := river.NewWorkers()
	river.AddWorker(all, &worker{done: done})
	q, err := New(open(t, d), "mapper", slog.New(slog.NewTextHandler(io.Discard, nil)), river.Config{
		Workers: all, Queues: map[string]river.QueueConfig{"test": {MaxWorkers: 1}}, JobTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	q.Patience = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		q.Run(ctx, func(context.Context) error { return nil })
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	return q
}

func open(t *testing.T, d config.Database) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(d, "mapper", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// A job of a replica that lives stays with it, also once that has lost its connections and made new ones; a job of one
// that does not live is taken up.
func TestTakeOver(t *testing.T) {
	ctx, d, done := context.Background(), postgrestest.Migrated(t)("mapper"), make(chan int, 10)
	pool := open(t, d)
	live := replica(t, d, done)
	replica(t, d, done)
	held := func() bool {
		free := true
		err := pool.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock(hashtextextended('llama-mapper replica ' || $1, 0))", live.ID()).Scan(&free)
		return !free && err == nil
	}
	next := 0
	running := func(by string) int {
		next++
		if _, err := pool.Exec(ctx, `INSERT INTO mapper.river_job (state, kind, queue, args, attempt, attempted_at, attempted_by)
			VALUES ('running', 'test', 'test', jsonb_build_object('N', $1::int), 1, now() - interval '10 seconds', ARRAY['earlier', $2])`, next, by); err != nil {
			t.Fatal(err)
		}
		return next
	}
	for range 2 {
		for deadline := time.Now().Add(time.Minute); !held(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the lock is not held in a minute")
			}
		}
		kept := running(live.ID())
		for range 3 {
			want := running("dead")
			select {
			case n := <-done:
				if n != want {
					t.Errorf("%d was done, not %d; %d is of a replica that lives", n, want, kept)
				}
			case <-time.After(time.Minute):
				t.Fatal("a dead replica's job was not taken up in a minute")
			}
		}
		if _, err := pool.Exec(ctx, "DELETE FROM mapper.river_job WHERE state = 'running' AND (args->>'N')::int = $1", kept); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(ctx, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
	}
}
