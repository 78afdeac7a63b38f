package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
)

// state is what is known of a name.
type state struct {
	there         bool                // it is in use
	newest, force api.RegistryVersion // force is in force; its number is 0 where nothing is
}

func stateOf(ctx context.Context, tx pgx.Tx, t *access.Tenant, kind Kind, name string) (st state, err error) {
	err = tx.QueryRow(ctx, `SELECT NOT r.removed, r.newest, n.hash, coalesce(r.active, 0), coalesce(a.hash, '')
		FROM orchestration.registered r JOIN orchestration.versions n ON (n.tenant, n.kind, n.name, n.version) = (r.tenant, r.kind, r.name, r.newest)
		LEFT JOIN orchestration.versions a ON (a.tenant, a.kind, a.name, a.version) = (r.tenant, r.kind, r.name, r.active)
		WHERE r.tenant = $1 AND r.kind = $2 AND r.name = $3`, t.ID, kind, name).Scan(&st.there, &st.newest.Version, &st.newest.Hash, &st.force.Version, &st.force.Hash)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return st, err
}

// record makes an event of a change, if it was one, part of its transaction.
func record(ctx context.Context, tx pgx.Tx, c access.Caller, kind Kind, name string, before state) error {
	after, err := stateOf(ctx, tx, c.Tenant, kind, name)
	if err != nil || before == after {
		return err
	}
	e := api.RegistryEvent{
		Kind: api.EventRegistry, Time: time.Now().UTC().Truncate(time.Microsecond), TenantID: c.Tenant.ID, KeyID: c.Key.ID,
		Change: changed(before, after), Object: string(kind), Name: name, Newest: after.newest, Before: before.inForce(), After: after.inForce(),
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return audit.Append(ctx, tx, c.Tenant, []audit.Entry{{At: e.Time, JSON: raw}})
}

func changed(before, after state) string {
	switch {
	case !before.there:
		return "create"
	case !after.there:
		return "delete"
	case after.newest != before.newest:
		return "update"
	}
	return "activate"
}

func (st state) inForce() *api.RegistryVersion {
	if st.force.Version == 0 {
		return nil
	}
	return &st.force
}
