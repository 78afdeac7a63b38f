package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Writer moves the journal of this process to Postgres. In one transaction a batch of records becomes events and the
// journal's position there moves on, so each record becomes exactly one event, whatever is killed and when. Writers
// of many replicas lock the chains that they lengthen, so numbers are committed in order and a reader never
// passes one that comes later.
type Writer struct {
	log    *Log
	pool   *pgxpool.Pool
	logger *slog.Logger
	lag    atomic.Int64 // unix microseconds of the oldest record that waits; 0: none does
	moved  prometheus.Counter
}

const (
	batchRecords = 5000
	batchBytes   = 4 << 20
	gather       = 250 * time.Millisecond // between transactions, so that a few records do not cost one each
	retry        = time.Second
)

// NewWriter makes a writer; its metrics go to reg.
func NewWriter(l *Log, pool *pgxpool.Pool, logger *slog.Logger, reg prometheus.Registerer) *Writer {
	auto := promauto.With(reg)
	w := &Writer{log: l, pool: pool, logger: logger, moved: auto.NewCounter(prometheus.CounterOpts{
		Name: "audit_events_total", Help: "Events moved from the journal to Postgres.",
	})}
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "audit_journal_lag_seconds", Help: "Age of the oldest event that is not in Postgres yet.",
	}, func() float64 {
		if at := w.lag.Load(); at != 0 {
			return time.Since(time.UnixMicro(at)).Seconds()
		}
		return 0
	})
	return w
}

// lastMoves is what moving may take once the service has stopped.
const lastMoves = 5 * time.Second

// Run moves records until ctx ends, and then for a moment what is left. The rest waits for the next start.
func (w *Writer) Run(ctx context.Context) {
	reader := w.log.journal.Reader(0)
	defer reader.Close()
	known, position, failing := false, uint64(0), false
	for ctx.Err() == nil {
		var err error
		if !known {
			if position, err = w.position(ctx); err == nil {
				reader.Back(position)
				known = true
			}
		}
		n, began := 0, time.Now()
		if err == nil {
			if n, err = w.move(ctx, reader, &position); err != nil {
				known = false
			}
		}
		if err != nil && ctx.Err() == nil {
			w.behind(position)
			if !failing {
				w.logger.Warn("events wait in the journal", "cause", err.Error())
			}
		}
		failing = err != nil
		w.pause(ctx, n, time.Since(began), err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastMoves)
	defer cancel()
	for n := 1; n > 0 && known; {
		var err error
		if n, err = w.move(last, reader, &position); err != nil {
			w.logger.Warn("events wait in the journal for the next start", "cause", err.Error())
			return
		}
	}
}

// behind notes how long the first record behind position has waited.
func (w *Writer) behind(position uint64) {
	r := w.log.journal.Reader(position)
	defer r.Close()
	if first, err := r.Read(1, 1); err == nil && len(first) == 1 {
		if rec, err := decodeRecord(first[0].Payload); err == nil {
			w.lag.Store(rec.At.UnixMicro())
		}
	}
}

// pause waits for more to do. Postgres may be on the cores of those who ask: it rests three times as long as it worked,
// unless the journal fills.
func (w *Writer) pause(ctx context.Context, n int, worked time.Duration, err error) {
	wait, wake, rest := time.Second, w.log.wake, 3*worked
	switch {
	case err != nil:
		wait, wake = retry, nil
	case n > 0 && w.log.journal.Filled() > 0.25:
		return
	case n == batchRecords:
		wait, wake = rest, nil
	case n > 0:
		wait, wake = max(gather, rest), nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// position asks how far this journal has been taken over, and removes what was.
func (w *Writer) position(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	var at int64
	err := w.pool.QueryRow(ctx, `INSERT INTO journals (replica) VALUES ($1)
		ON CONFLICT (replica) DO UPDATE SET replica = excluded.replica RETURNING position`, w.log.journal.ID()).Scan(&at)
	if err != nil {
		return 0, err
	}
	position := uint64(at) //nolint:gosec // it counts from 0
	if last := w.log.journal.Last(); position > last {
		return 0, fmt.Errorf("the journal ends at record %d and Postgres has it up to %d: it is an old copy; move it away", last, position)
	}
	return position, w.log.journal.Trim(position)
}

// move takes over one batch behind position.
func (w *Writer) move(ctx context.Context, reader *journal.Reader, position *uint64) (int, error) {
	batch, err := reader.Read(batchRecords, batchBytes)
	if len(batch) == 0 {
		w.lag.Store(0)
		return 0, err
	}
	if first := batch[0].Number; first != *position+1 {
		w.logger.Error("records are missing in the journal; Postgres is older than what was removed", "from", *position+1, "to", first-1)
	}
	records := make([]record, len(batch))
	for i, b := range batch {
		if records[i], err = decodeRecord(b.Payload); err != nil {
			return 0, fmt.Errorf("record %d: %w", b.Number, err)
		}
	}
	w.lag.Store(records[0].At.UnixMicro())
	last := batch[len(batch)-1].Number
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := w.commit(ctx, records, *position, last); err != nil {
		return 0, err
	}
	*position = last
	w.moved.Add(float64(len(records)))
	return len(records), w.log.journal.Trim(last)
}

// commit is the transaction.
func (w *Writer) commit(ctx context.Context, records []record, from, to uint64) error {
	return postgres.InTenant(ctx, w.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "UPDATE journals SET position = $3 WHERE replica = $1 AND position = $2", w.log.journal.ID(), from, to)
		if err == nil && tag.RowsAffected() != 1 {
			err = errors.New("the journal's position has changed")
		}
		if err != nil {
			return err
		}
		return lengthen(ctx, tx, records)
	})
}

func tenantsOf(records []record) []string {
	var tenants []string
	for _, r := range records {
		tenants = append(tenants, r.Tenant)
	}
	slices.Sort(tenants)
	return slices.Compact(tenants)
}

// lockChains returns the heads of chains, in one order for all writers, so that none waits for another in a circle.
func lockChains(ctx context.Context, tx pgx.Tx, tenants []string) (map[string]Head, error) {
	starts := make([][]byte, len(tenants))
	for i, t := range tenants {
		starts[i] = genesis(t).Hash
	}
	if _, err := tx.Exec(ctx, `INSERT INTO chains (tenant, hash, pruned_hash)
		SELECT t, h, h FROM unnest($1::text[], $2::bytea[]) AS new (t, h) ORDER BY t ON CONFLICT DO NOTHING`, tenants, starts); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, "SELECT tenant, seq, hash FROM chains WHERE tenant = ANY ($1) ORDER BY tenant FOR UPDATE", tenants)
	if err != nil {
		return nil, err
	}
	heads := map[string]Head{}
	var tenant string
	var head Head
	_, err = pgx.ForEachRow(rows, []any{&tenant, &head.Seq, &head.Hash}, func() error {
		heads[tenant] = Head{head.Seq, slices.Clone(head.Hash)}
		return nil
	})
	return heads, err
}

// insertEvents copies rows into a table of the connection and from there into events: Postgres does not COPY into
// a table that has row-level security.
func insertEvents(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE IF NOT EXISTS arriving (LIKE events) ON COMMIT DELETE ROWS"); err != nil {
		return err
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "arriving"}, []string{"tenant", "seq", "at", "leaf", "hash", "sealed"}, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO events (tenant, seq, at, leaf, hash, sealed) SELECT tenant, seq, at, leaf, hash, sealed FROM pg_temp.arriving")
	return err
}

func moveChains(ctx context.Context, tx pgx.Tx, heads map[string]Head) error {
	var tenants []string
	var seqs []int64
	var hashes [][]byte
	for t, h := range heads {
		tenants, seqs, hashes = append(tenants, t), append(seqs, h.Seq), append(hashes, h.Hash)
	}
	_, err := tx.Exec(ctx, `UPDATE chains c SET seq = new.s, hash = new.h
		FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS new (t, s, h) WHERE c.tenant = new.t`, tenants, seqs, hashes)
	return err
}
