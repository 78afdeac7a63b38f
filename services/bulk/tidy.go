package bulk

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// tidy looks after what others have left behind.
func (s *Service) tidy(ctx context.Context) error {
	return errors.Join(s.requeue(ctx), s.remove(ctx))
}

// removed is how many jobs are deleted in one transaction: of a gigabyte each, they may take its time.
const removed = 4

// remove deletes jobs that have expired, uploads that have died, and all that deleted tenants had; some each time.
func (s *Service) remove(ctx context.Context) error {
	gone := access.Deleted(s.tenants.Tenants())
	return postgres.InTenant(ctx, s.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM mapper.jobs WHERE (tenant, id) IN (SELECT tenant, id FROM mapper.jobs
			WHERE created_at < now() - $1::interval OR state = 'receiving' AND touched_at < now() - $2::interval OR tenant = ANY ($3)
			LIMIT $4 FOR UPDATE SKIP LOCKED)`, retention, abandoned, gone, removed)
		return err
	})
}
