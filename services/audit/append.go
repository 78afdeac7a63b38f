package audit

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/services/access"
)

// Append makes events of a tenant part of a transaction, which must be InTenant: they are there if and only if it
// commits. It holds the tenant's chain until then, so it comes late in a transaction that is short, and once.
func Append(ctx context.Context, tx pgx.Tx, t *access.Tenant, events []Entry) error {
	if len(events) == 0 {
		return nil
	}
	records := make([]record, len(events))
	for i, e := range events {
		sealed, err := seal(t, e)
		if err == nil {
			records[i], err = decodeRecord(sealed)
		}
		if err != nil {
			return err
		}
	}
	return lengthen(ctx, tx, records)
}

// lengthen puts records at the ends of their tenants' chains.
func lengthen(ctx context.Context, tx pgx.Tx, records []record) error {
	heads, err := lockChains(ctx, tx, tenantsOf(records))
	if err != nil {
		return err
	}
	rows := make([][]any, len(records))
	for i, r := range records {
		head := heads[r.Tenant].next(r.At, r.Leaf)
		heads[r.Tenant] = head
		rows[i] = []any{r.Tenant, head.Seq, r.At, r.Leaf, head.Hash, r.Sealed}
	}
	if err := insertEvents(ctx, tx, rows); err != nil {
		return err
	}
	return moveChains(ctx, tx, heads)
}
