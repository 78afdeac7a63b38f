package bulk

import (
	"context"
	"errors"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// result reads a job's result, one chunk after the other, in the order of the input.
type result struct {
	*Service
	ctx    context.Context
	tenant *access.Tenant
	job    api.Job
	number int   // of the next chunk, or the first behind it that is done
	seen   int64 // lines
	rest   []byte
	err    error // once there is one, it stays
}

// Read implements io.Reader. A result of a job that is done ends with io.EOF only if it was whole.
func (r *result) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *result) Close() error {
	r.rest, r.err = nil, io.ErrClosedPipe
	return nil
}

// next loads a chunk.
func (r *result) next() error {
	ctx, cancel := context.WithTimeout(r.ctx, postgres.Deadline)
	defer cancel()
	var number, lines int
	var sealed []byte
	err := postgres.InTenant(ctx, r.pool, r.tenant.ID, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT number, lines, result FROM mapper.job_chunks
			WHERE tenant = $1 AND job = $2 AND number >= $3 AND state = 'done' ORDER BY number LIMIT 1`, r.tenant.ID, r.job.ID, r.number).Scan(&number, &lines, &sealed)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		if r.job.State == api.JobDone && r.seen != r.job.Lines {
			return errors.New("the job has expired while its result was read")
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	r.number, r.seen = number+1, r.seen+int64(lines)
	r.rest, err = r.pack.open(r.tenant.Vault, place("result", r.job.ID, number), sealed)
	return err
}
