package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Keeper signs the heads of chains that have grown, and removes the events whose time is over. Every replica runs
// one; what another has done already is left alone.
type Keeper struct {
	Pool      *pgxpool.Pool
	Tenants   func() []*access.Tenant
	Key       ed25519.PrivateKey
	Every     time.Duration
	Retention int // days, where a tenant has none of its own; 0 keeps all
	Log       *slog.Logger
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := k.Once(ctx, time.Now()); err != nil && ctx.Err() == nil {
			k.Log.Warn("the audit is not signed or cleaned until the next time", "cause", err.Error())
		}
	}
}

// Once does what is due at a time.
func (k *Keeper) Once(ctx context.Context, now time.Time) error {
	if err := k.sign(ctx, now); err != nil {
		return err
	}
	for _, t := range k.Tenants() {
		days := k.Retention
		if t.RetentionDays != nil {
			days = *t.RetentionDays
		}
		if days == 0 {
			continue
		}
		if err := k.prune(ctx, t.ID, now.AddDate(0, 0, -days)); err != nil {
			return err
		}
	}
	return nil
}

// signed is what a signature covers.
func signed(tenant string, seq int64, hash []byte, at time.Time) []byte {
	return fmt.Appendf(nil, "llama-mapper audit head 1\n%s\n%d\n%s\n%s\n", tenant, seq, encoded(hash), at.UTC().Format(time.RFC3339Nano))
}

// sign signs every head that has no signature.
func (k *Keeper) sign(ctx context.Context, now time.Time) error {
	now = now.UTC().Truncate(time.Microsecond)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return postgres.InTenant(ctx, k.Pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT tenant, seq, hash FROM chains c
			WHERE seq > 0 AND NOT EXISTS (SELECT FROM seals s WHERE s.tenant = c.tenant AND s.seq = c.seq)`)
		if err != nil {
			return err
		}
		type head struct {
			tenant string
			Head
		}
		heads, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (h head, err error) { return h, r.Scan(&h.tenant, &h.Seq, &h.Hash) })
		if err != nil {
			return err
		}
		for _, h := range heads {
			signature := ed25519.Sign(k.Key, signed(h.tenant, h.Seq, h.Hash, now))
			if _, err := tx.Exec(ctx, "INSERT INTO seals (tenant, seq, hash, at, signature) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
				h.tenant, h.Seq, h.Hash, now, signature); err != nil {
				return err
			}
		}
		return nil
	})
}

// pruneRows bounds one transaction.
const pruneRows = 10000

// prune removes a tenant's oldest events up to the first that is not before the cutoff. The chain goes on from the
// hash of the last one removed.
func (k *Keeper) prune(ctx context.Context, tenant string, cutoff time.Time) error {
	for {
		n := int64(0)
		err := postgres.InTenant(ctx, k.Pool, tenant, func(tx pgx.Tx) error {
			if err := postgres.Patient(ctx, tx); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `WITH old AS (
					SELECT seq, hash FROM (SELECT seq, hash, at FROM events WHERE tenant = $1 ORDER BY seq LIMIT $3) first
					WHERE seq < coalesce((SELECT min(seq) FROM events WHERE tenant = $1 AND at >= $2), 9223372036854775807)),
				last AS (SELECT seq, hash FROM old ORDER BY seq DESC LIMIT 1),
				moved AS (UPDATE chains c SET pruned_seq = last.seq, pruned_hash = last.hash FROM last WHERE c.tenant = $1),
				unsealed AS (DELETE FROM seals USING last WHERE tenant = $1 AND seals.seq < last.seq)
				DELETE FROM events USING old WHERE tenant = $1 AND events.seq = old.seq`, tenant, cutoff, pruneRows)
			n = tag.RowsAffected()
			return err
		})
		if err != nil || n < pruneRows {
			return err
		}
	}
}
