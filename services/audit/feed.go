package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Feed reads events.
type Feed struct{ pool *pgxpool.Pool }

// NewFeed makes a feed on the pool of a service.
func NewFeed(pool *pgxpool.Pool) *Feed { return &Feed{pool} }

// row is an event as Postgres has it.
type row struct {
	seq                int64
	at                 time.Time
	leaf, hash, sealed []byte
}

// rows returns a tenant's events behind seq, in order.
func (f *Feed) rows(ctx context.Context, tenant string, after int64, limit int) ([]row, error) {
	return f.query(ctx, tenant, "SELECT seq, at, leaf, hash, sealed FROM events WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3", tenant, after, limit)
}

func (f *Feed) query(ctx context.Context, tenant, query string, args ...any) (rows []row, err error) {
	err = postgres.InTenant(ctx, f.pool, tenant, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(r pgx.CollectableRow) (out row, err error) {
			return out, r.Scan(&out.seq, &out.at, &out.leaf, &out.hash, &out.sealed)
		})
		return err
	})
	return rows, err
}

// Events returns a tenant's events behind the number after, in order, without a gap: the first is older than after+1
// only if retention has removed those between.
func (f *Feed) Events(ctx context.Context, t *access.Tenant, after int64, limit int) (api.EventsResponse, error) {
	out := api.EventsResponse{Events: []json.RawMessage{}, Next: api.Cursor(after)}
	rows, err := f.rows(ctx, t.ID, after, limit)
	if err != nil {
		return out, err
	}
	for _, r := range rows {
		_, event, err := openEvent(t.Vault, r.sealed, r.leaf)
		if err != nil {
			return out, err
		}
		out.Events = append(out.Events, numbered(r.seq, event))
		out.Next = api.Cursor(r.seq)
	}
	return out, nil
}

// maxAt is how many events of one microsecond are found.
const maxAt = 1000

// At returns a tenant's events of one microsecond, in order.
func (f *Feed) At(ctx context.Context, t *access.Tenant, at time.Time) ([]json.RawMessage, error) {
	rows, err := f.query(ctx, t.ID, "SELECT seq, at, leaf, hash, sealed FROM events WHERE tenant = $1 AND at = $2 ORDER BY seq LIMIT $3", t.ID, at, maxAt)
	if err != nil {
		return nil, err
	}
	events := make([]json.RawMessage, len(rows))
	for i, r := range rows {
		if _, events[i], err = openEvent(t.Vault, r.sealed, r.leaf); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// numbered puts the number in front of an event's fields.
func numbered(seq int64, event []byte) json.RawMessage {
	out := append([]byte(`{"seq":`), []byte(api.Cursor(seq))...)
	return append(append(out, ','), event[1:]...) // an event is an object that is not empty
}

// Line is one line of an export, for Verify: an event, or a signed head.
type Line struct {
	Tenant string          `json:"tenant"`
	Seq    int64           `json:"seq"`
	At     time.Time       `json:"at"`
	Leaf   []byte          `json:"leaf,omitempty"`
	Hash   []byte          `json:"hash"`
	Salt   []byte          `json:"salt,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"` // absent of a tenant that was deleted
	// Signature makes it a signed head.
	Signature []byte `json:"signature,omitempty"`
	// Start makes it the first line: the head in front of the oldest event that is kept.
	Start bool `json:"start,omitempty"`
}

// Export writes a tenant's chain, oldest first: its start, its events, and each signed head behind its event.
func (f *Feed) Export(ctx context.Context, t *access.Tenant, emit func(Line) error) error {
	start, seals, err := f.frame(ctx, t.ID)
	if err != nil {
		return err
	}
	if err := emit(Line{Tenant: t.ID, Seq: start.Seq, Hash: start.Hash, Start: true}); err != nil {
		return err
	}
	for after := start.Seq; ; {
		rows, err := f.rows(ctx, t.ID, after, 1000)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			line := Line{Tenant: t.ID, Seq: r.seq, At: r.at.UTC(), Leaf: r.leaf, Hash: r.hash}
			if salt, event, err := openEvent(t.Vault, r.sealed, r.leaf); err == nil {
				line.Salt, line.Event = salt, event
			}
			if err := emit(line); err != nil {
				return err
			}
			if s, ok := seals[r.seq]; ok {
				if err := emit(s); err != nil {
					return err
				}
			}
			after = r.seq
		}
	}
}

// frame returns where a tenant's chain begins, and its signed heads by number.
func (f *Feed) frame(ctx context.Context, tenant string) (start Head, seals map[int64]Line, err error) {
	seals, start = map[int64]Line{}, genesis(tenant)
	err = postgres.InTenant(ctx, f.pool, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "SELECT pruned_seq, pruned_hash FROM chains WHERE tenant = $1", tenant).Scan(&start.Seq, &start.Hash)
		if err != nil && err != pgx.ErrNoRows { //nolint:errorlint // Scan returns it as it is
			return err
		}
		rows, err := tx.Query(ctx, "SELECT seq, hash, at, signature FROM seals WHERE tenant = $1", tenant)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (l Line, err error) {
			l.Tenant = tenant
			return l, r.Scan(&l.Seq, &l.Hash, &l.At, &l.Signature)
		})
		for _, l := range all {
			l.At = l.At.UTC()
			seals[l.Seq] = l
		}
		return err
	})
	return start, seals, err
}

// encoded is how hashes read in messages.
func encoded(hash []byte) string { return base64.StdEncoding.EncodeToString(hash) }
