package review

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Bounds of what is kept of a tenant.
const (
	maxOpen      = 10000 // proposals that wait for a decision; further labels are passed over
	maxDecided   = 10000 // proposals that were decided; the oldest go
	maxDecisions = 10000 // in the history; the oldest go
	maxOverrides = 10000
	maxRemoved   = 10000 // overrides that were removed and are not forgotten yet

	unseen    = 90 * 24 * time.Hour // after which a proposal is forgotten, decided or not
	forgotten = 24 * time.Hour      // after which an override that was removed is; all replicas know by then
	tidying   = 10 * time.Minute
	patience  = time.Minute // of one tidying
)

// Tenants knows all tenants, deleted ones too. *access.Directory is one.
type Tenants interface {
	Tenants() []*access.Tenant
}

// Tidy forgets what nobody has seen for long, overrides that were removed, and all that deleted tenants had. The latest
// change of a tenant's overrides stays: it names their version.
func (q *Queue) Tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	gone := access.Deleted(q.tenants.Tenants())
	return errors.Join(
		postgres.Forget(ctx, q.pool, gone, "mapper.proposals", "mapper.overrides", "mapper.decisions"),
		q.forget(ctx, "mapper.proposals WHERE last_at < now() - $1::interval", unseen),
		q.forget(ctx, `mapper.overrides o USING (SELECT tenant, max(changed_at) AS latest FROM mapper.overrides GROUP BY tenant) l
			WHERE l.tenant = o.tenant AND o.changed_at < l.latest AND o.removed AND o.changed_at < now() - $1::interval`, forgotten))
}

func (q *Queue) forget(ctx context.Context, what string, after time.Duration) error {
	return postgres.InTenant(ctx, q.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM "+what, after)
		return err
	})
}

// trim deletes what a tenant has decided before so much else. It ends a transaction that decides; all take the tables in one
// order, so that none waits for another in a circle.
func trim(ctx context.Context, tx pgx.Tx, tenant string) error {
	for _, t := range []struct {
		rows string
		keep int
	}{{"proposals WHERE state <> 'open'", maxDecided}, {"decisions WHERE true", maxDecisions}} {
		if _, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM mapper.%[1]s AND tenant = $1 AND number <= (SELECT number FROM mapper.%[1]s AND tenant = $1 ORDER BY number DESC OFFSET $2 LIMIT 1)", t.rows), tenant, t.keep); err != nil {
			return err
		}
	}
	return nil
}

// room says whether a tenant's overrides, with those that a transaction has made, are within their bounds. It holds a lock to
// the end of the transaction, so that none of those that run beside it passes them.
func room(ctx context.Context, tx pgx.Tx, tenant string) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('llama-mapper overrides ' || $1, 0))", tenant); err != nil {
		return err
	}
	var used, removed int
	err := tx.QueryRow(ctx, "SELECT count(*) FILTER (WHERE NOT removed), count(*) FILTER (WHERE removed) FROM mapper.overrides WHERE tenant = $1", tenant).Scan(&used, &removed)
	switch {
	case err != nil:
		return err
	case used > maxOverrides:
		return api.Errorf(api.Conflict, "a tenant may have %d overrides; remove some, or export them for a table of the detector", maxOverrides)
	case removed >= maxRemoved:
		return api.Errorf(api.Conflict, "%d overrides were removed within a day; make more tomorrow", maxRemoved)
	}
	return nil
}
