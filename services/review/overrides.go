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
	anew    = 6 * time.Hour    // after which all are read again

	pageRows = 5000
)

// Overrides is every tenant's overrides in memory, so that no request waits for Postgres. While that is away they are
// as they were, and none after a start.
type Overrides struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	mu sync.RWMutex // guards what follows
	*known

	failing atomic.Bool
}

// known is what was read since a time.
type known struct {
	begun   time.Time
	tenants map[string]*own
	latest  time.Time // change
}

func newKnown() *known { return &known{begun: time.Now(), tenants: map[string]*own{}} }

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
	return &Overrides{pool: pool, log: log, known: newKnown()}
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

// Follow takes over what has changed, a page at a time, the oldest change first. After a failure the next call goes on
// from there. Now and then it begins anew: rows of changes that all have seen are deleted.
func (o *Overrides) Follow(ctx context.Context) error {
	o.mu.RLock()
	next := o.known
	o.mu.RUnlock()
	if time.Since(next.begun) > anew {
		next = newKnown()
	}
	last := change{changed: next.latest.Add(-overlap)}
	for more := true; more; {
		page, err := o.page(ctx, last)
		if err != nil {
			return err
		}
		o.mu.Lock()
		for _, c := range page {
			next.take(c)
		}
		o.mu.Unlock()
		if more = len(page) == pageRows; more {
			last = page[pageRows-1]
		}
	}
	o.mu.Lock()
	o.known = next
	o.mu.Unlock()
	return nil
}

// change is one row.
type change struct {
	tenant string
	place
	labels  []string
	changed time.Time
	removed bool
}

// page reads the changes behind one.
func (o *Overrides) page(ctx context.Context, last change) (all []change, err error) {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	err = postgres.InTenant(ctx, o.pool, postgres.Everyone, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT tenant, detector, digest, labels, changed_at, removed FROM mapper.overrides
			WHERE (changed_at, tenant, detector, digest) > ($1, $2, $3, $4) ORDER BY changed_at, tenant, detector, digest LIMIT $5`,
			last.changed, last.tenant, last.detector, last.digest, pageRows)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (c change, err error) {
			return c, r.Scan(&c.tenant, &c.detector, &c.digest, &c.labels, &c.changed, &c.removed)
		})
		return err
	})
	return all, err
}

// take takes a change over, unless a later one is there.
func (k *known) take(c change) {
	t := k.tenants[c.tenant]
	if t == nil {
		t = &own{labels: map[place][]string{}, changed: map[place]time.Time{}}
		k.tenants[c.tenant] = t
	}
	if !c.changed.After(t.changed[c.place]) {
		return
	}
	t.changed[c.place] = c.changed
	delete(t.labels, c.place)
	if !c.removed {
		t.labels[c.place] = c.labels
	}
	if c.changed.After(t.latest) {
		t.latest = c.changed
	}
	if c.changed.After(k.latest) {
		k.latest = c.changed
	}
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
