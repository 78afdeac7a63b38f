package review

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

const (
	refresh = 2 * time.Second  // how often changes are looked for
	overlap = 30 * time.Second // how far back, for transactions that took their time before they committed
)

// Overrides is every tenant's overrides in memory, so that no request waits for Postgres. While that is away they are
// as they were, and none after a start.
type Overrides struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	mu      sync.RWMutex // guards what follows
	tenants map[string]*own
	latest  time.Time

	failing atomic.Bool
}

// own is one tenant's overrides.
type own struct {
	labels  map[place][]string
	changed map[place]time.Time
	latest  time.Time
}

// place is where an override applies.
type place struct{ detector, digest string }

// NewOverrides makes an empty one; Run keeps it current.
func NewOverrides(pool *pgxpool.Pool, log *slog.Logger) *Overrides {
	return &Overrides{pool: pool, log: log, tenants: map[string]*own{}}
}

// Run follows Postgres until ctx ends.
func (o *Overrides) Run(ctx context.Context) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		err := o.Follow(ctx)
		if err != nil && ctx.Err() == nil && !o.failing.Load() {
			o.log.Warn("overrides are as they were until Postgres answers", "cause", err.Error())
		}
		o.failing.Store(err != nil)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Follow takes over what has changed.
func (o *Overrides) Follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	o.mu.RLock()
	since := o.latest.Add(-overlap)
	o.mu.RUnlock()
	type row struct {
		tenant string
		place
		labels  []string
		changed time.Time
		removed bool
	}
	var rows []row
	err := postgres.InTenant(ctx, o.pool, postgres.Everyone, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, "SELECT tenant, detector, digest, labels, changed_at, removed FROM mapper.overrides WHERE changed_at > $1", since)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(r pgx.CollectableRow) (out row, err error) {
			return out, r.Scan(&out.tenant, &out.detector, &out.digest, &out.labels, &out.changed, &out.removed)
		})
		return err
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range rows {
		t := o.tenants[r.tenant]
		if t == nil {
			t = &own{labels: map[place][]string{}, changed: map[place]time.Time{}}
			o.tenants[r.tenant] = t
		}
		if !r.changed.After(t.changed[r.place]) {
			continue
		}
		t.changed[r.place] = r.changed
		delete(t.labels, r.place)
		if !r.removed {
			t.labels[r.place] = r.labels
		}
		if r.changed.After(t.latest) {
			t.latest = r.changed
		}
		if r.changed.After(o.latest) {
			o.latest = r.changed
		}
	}
	return nil
}

// Lookup returns what a tenant says that a detector's label means; nil if it does not say. detector is the name of the
// detector's table, or its own in lower case.
func (o *Overrides) Lookup(t *access.Tenant, detector, native string) []string {
	o.mu.RLock()
	mine := o.tenants[t.ID]
	none := mine == nil || len(mine.labels) == 0
	o.mu.RUnlock()
	if none {
		return nil
	}
	return o.Find(t, detector, digest(t, native))
}

// Find is Lookup for a label of which only the digest is known, as events have it.
func (o *Overrides) Find(t *access.Tenant, detector, digest string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if mine := o.tenants[t.ID]; mine != nil {
		return mine.labels[place{detector, digest}]
	}
	return nil
}

// Version names a tenant's overrides by the time of their latest change; "" if it never had any.
func (o *Overrides) Version(t *access.Tenant) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if mine := o.tenants[t.ID]; mine != nil {
		return mine.latest.UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// digest is how a native label is found again, in whatever case.
func digest(t *access.Tenant, native string) string { return t.Vault.Digest(strings.ToLower(native)) }
