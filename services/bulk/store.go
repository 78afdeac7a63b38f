package bulk

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

func errNoJob() error { return api.Errorf(api.NotFound, "there is no such job; it may have expired") }

// create makes a job that receives its lines, unless the upload was whole once already: then it is the job of that time.
func (s *Service) create(ctx context.Context, c access.Caller, v api.View, once string) (id string, found bool, err error) {
	id = strings.ToLower(rand.Text())
	err = postgres.InTenant(ctx, s.pool, c.Tenant.ID, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+shareLock+")", c.Tenant.ID); err != nil {
			return err
		}
		if first, err := again(ctx, tx, c.Tenant.ID, once); err != nil || first != "" {
			id, found = first, true
			return err
		}
		var open, receiving int
		if err := tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'receiving') FROM mapper.jobs
			WHERE tenant = $1 AND state IN ('receiving', 'running')`, c.Tenant.ID).Scan(&open, &receiving); err != nil {
			return err
		}
		switch {
		case open >= openJobs:
			return api.Errorf(api.Conflict, "the tenant has %d jobs that have not ended; wait for one of them, or cancel it", openJobs)
		case receiving >= ownUploads:
			return api.Errorf(api.Conflict, "the tenant has %d uploads that have not ended; wait for one of them, or cancel it", ownUploads)
		}
		_, err := tx.Exec(ctx, "INSERT INTO mapper.jobs (tenant, id, key_id, model_only, controls, taxonomy, once) VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''))",
			c.Tenant.ID, id, c.Key.ID, v.ModelOnly, v.Controls, v.Taxonomy, once)
		return err
	})
	return id, found, err
}

// again finds the job of an upload that comes again. One that has not come to its end gives way, for its client has given it
// up: it has expired, and is removed later, since it may be large.
func again(ctx context.Context, tx pgx.Tx, tenant, once string) (id string, err error) {
	if once == "" {
		return "", nil
	}
	if _, err := tx.Exec(ctx, `UPDATE mapper.jobs SET state = 'cancelled', finished_at = now(), created_at = now() - $3::interval, once = NULL
		WHERE tenant = $1 AND once = $2 AND state = 'receiving'`, tenant, once, retention); err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, "SELECT id FROM mapper.jobs WHERE tenant = $1 AND once = $2", tenant, once).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, err
}

// add keeps a chunk of a job that receives.
func (s *Service) add(ctx context.Context, t *access.Tenant, job string, c chunk) error {
	sealed, err := s.pack.seal(t.Vault, place("input", job, c.number), c.text)
	if err != nil {
		return err
	}
	return postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE mapper.jobs SET lines = lines + $3, touched_at = now() WHERE tenant = $1 AND id = $2 AND state = 'receiving'", t.ID, job, c.lines)
		if err == nil && tag.RowsAffected() != 1 {
			err = api.Errorf(api.Conflict, "the job was cancelled while its lines came in")
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO mapper.job_chunks (tenant, job, number, first, lines, input) VALUES ($1, $2, $3, $4, $5, $6)",
			t.ID, job, c.number, c.first, c.lines, sealed)
		return err
	})
}

// start has a job worked on whose lines are all there.
func (s *Service) start(ctx context.Context, tenant, job string) error {
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE mapper.jobs SET state = 'running', started_at = clock_timestamp() WHERE tenant = $1 AND id = $2 AND state = 'receiving'", tenant, job)
		if err == nil && tag.RowsAffected() != 1 {
			err = api.Errorf(api.Conflict, "the job was cancelled while its lines came in")
		}
		if err != nil {
			return err
		}
		return s.fill(ctx, tx, tenant)
	})
}

// drop removes a job whose upload failed.
func (s *Service) drop(ctx context.Context, tenant, job string) error {
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM mapper.jobs WHERE tenant = $1 AND id = $2 AND state = 'receiving'", tenant, job)
		return err
	})
}

// selectJobs reads jobs, with the lines that were done in the last half minute.
const selectJobs = `SELECT j.id, j.state, j.lines, j.done, j.failed, j.created_at, j.started_at, j.finished_at, now(),
	(SELECT coalesce(sum(c.lines), 0) FROM mapper.job_chunks c
		WHERE j.state = 'running' AND c.tenant = j.tenant AND c.job = j.id AND c.done_at > now() - interval '30 seconds')
	FROM mapper.jobs j WHERE j.tenant = $1 `

func scanJob(row pgx.CollectableRow) (j api.Job, err error) {
	var now time.Time
	var lately int64
	err = row.Scan(&j.ID, &j.State, &j.Lines, &j.Done, &j.Failed, &j.CreatedAt, &j.StartedAt, &j.FinishedAt, &now, &lately)
	j.CreatedAt, j.ExpiresAt = j.CreatedAt.UTC(), j.CreatedAt.UTC().Add(retention)
	estimate(&j, now, lately)
	return j, err
}

// estimate fills in rate and the time that is left, as they are at a time.
func estimate(j *api.Job, now time.Time, lately int64) {
	switch {
	case j.StartedAt == nil:
		return
	case j.FinishedAt != nil:
		j.Rate = float64(j.Done) / max(0.001, j.FinishedAt.Sub(*j.StartedAt).Seconds())
		return
	}
	j.Rate = float64(lately) / max(1, min(30, now.Sub(*j.StartedAt).Seconds()))
	if j.Rate > 0 {
		left := float64(j.Lines-j.Done) / j.Rate
		j.ETASeconds = &left
	}
}

func (s *Service) job(ctx context.Context, tenant, id string) (j api.Job, err error) {
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectJobs+"AND j.id = $2", tenant, id)
		if err != nil {
			return err
		}
		j, err = pgx.CollectExactlyOneRow(rows, scanJob)
		if errors.Is(err, pgx.ErrNoRows) {
			err = errNoJob()
		}
		return err
	})
	return j, err
}

func (s *Service) jobs(ctx context.Context, tenant string) (jobs []api.Job, err error) {
	err = postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectJobs+"ORDER BY j.created_at DESC, j.id LIMIT $2", tenant, listed)
		if err != nil {
			return err
		}
		jobs, err = pgx.CollectRows(rows, scanJob)
		return err
	})
	return jobs, err
}

// cancel ends a job. Workers stop within their chunk: River ends their contexts, and what they have found is not kept.
func (s *Service) cancel(ctx context.Context, tenant, id string) error {
	return postgres.InTenant(ctx, s.pool, tenant, func(tx pgx.Tx) error {
		var state api.JobState
		err := tx.QueryRow(ctx, "SELECT state FROM mapper.jobs WHERE tenant = $1 AND id = $2 FOR UPDATE", tenant, id).Scan(&state)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return errNoJob()
		case err != nil || state == api.JobCancelled:
			return err
		case state == api.JobDone:
			return api.Errorf(api.Conflict, "the job is done; there is nothing to cancel")
		}
		if _, err := tx.Exec(ctx, "UPDATE mapper.jobs SET state = 'cancelled', finished_at = clock_timestamp() WHERE tenant = $1 AND id = $2", tenant, id); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `WITH open AS (SELECT number, river_id FROM mapper.job_chunks
				WHERE tenant = $1 AND job = $2 AND state IN ('waiting', 'queued') FOR UPDATE)
			UPDATE mapper.job_chunks c SET state = 'cancelled', input = NULL FROM open
			WHERE c.tenant = $1 AND c.job = $2 AND c.number = open.number RETURNING coalesce(open.river_id, 0)`, tenant, id)
		if err != nil {
			return err
		}
		queued, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, river := range queued {
			if river == 0 {
				continue
			}
			if _, err := s.river.JobCancelTx(ctx, tx, river); err != nil {
				return err
			}
		}
		return s.fill(ctx, tx, tenant)
	})
}
