package review

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

const (
	waiting  = 10000           // different labels between two flushes; more are passed over
	flushing = 2 * time.Second // between flushes
	stopping = 5 * time.Second // for what is left at the end
)

// Recorder keeps events. *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, t *access.Tenant, events []api.Event) error
}

// Queue collects proposals in memory and adds them to Postgres every two seconds. What a process had not added when it
// was killed counts less, and comes again with the label.
type Queue struct {
	pool     *pgxpool.Pool
	recorder Recorder
	tenants  Tenants
	log      *slog.Logger
	drift    *prometheus.CounterVec
	passed   prometheus.Counter

	mu   sync.Mutex // guards seen
	seen map[sighting]*proposal
}

// sighting is a label of a detector of a tenant.
type sighting struct {
	tenant *access.Tenant
	place
}

// proposal is what was seen of it since the last flush.
type proposal struct {
	native  string
	finding api.Finding
	known   bool // whether the detector has a table
	n       int64
}

// NewQueue makes a queue; its metrics go to reg.
func NewQueue(pool *pgxpool.Pool, recorder Recorder, t Tenants, log *slog.Logger, reg prometheus.Registerer) *Queue {
	auto := promauto.With(reg)
	return &Queue{
		pool: pool, recorder: recorder, tenants: t, log: log, seen: map[sighting]*proposal{},
		drift: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "vocabulary_drift_total", Help: "Labels seen for the first time that a detector's table does not know.",
		}, []string{"detector"}),
		passed: auto.NewCounter(prometheus.CounterOpts{
			Name: "review_passed_over_total", Help: "Sightings that were not counted because there were too many different labels, in two seconds or that wait for a decision.",
		}),
	}
}

// Propose notes the model's answer for a label. It does not wait. known says whether the detector has a table.
func (q *Queue) Propose(t *access.Tenant, detector string, f api.Finding, known bool) {
	at := sighting{t, place{detector, digest(t, f.Native)}}
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.seen[at]
	if p == nil {
		if len(q.seen) >= waiting {
			q.passed.Inc()
			return
		}
		p = &proposal{native: strings.Clone(f.Native)}
		q.seen[at] = p
	}
	p.finding, p.known, p.n = f, known, p.n+1
}

// Run flushes until ctx ends, and once more, as far as it gets in a few seconds: nothing that stops waits for sightings.
func (q *Queue) Run(ctx context.Context) {
	end, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(stopping, cancel) })
	tick := time.NewTicker(flushing)
	defer tick.Stop()
	tidy := time.NewTicker(tidying)
	defer tidy.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-tidy.C:
			if err := q.Tidy(ctx); err != nil && ctx.Err() == nil {
				q.log.Warn("proposals that have expired, and those of deleted tenants, wait", "cause", err.Error())
			}
		case <-ctx.Done():
			done = true
		}
		if err := q.Flush(end); err != nil {
			q.log.Warn("proposals wait until Postgres answers", "cause", err.Error())
		}
	}
}

// Flush adds what was seen to Postgres. What fails is seen again.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	seen := q.seen
	q.seen = map[sighting]*proposal{}
	q.mu.Unlock()
	for at, p := range seen {
		first, err := q.add(ctx, at, p)
		if err != nil {
			q.back(seen)
			return err
		}
		delete(seen, at)
		if first && p.known {
			q.drifted(ctx, at, p)
		}
	}
	return nil
}

// back puts what could not be added with what was seen since.
func (q *Queue) back(old map[sighting]*proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at, p := range old {
		switch now := q.seen[at]; {
		case now != nil:
			now.n += p.n
		case len(q.seen) < waiting:
			q.seen[at] = p
		default:
			q.passed.Add(float64(p.n))
		}
	}
}

// add adds one proposal and says whether it is the first of its label.
func (q *Queue) add(ctx context.Context, at sighting, p *proposal) (first bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	sealed, err := at.tenant.Vault.Seal([]byte(p.native))
	if err != nil { // the tenant was deleted
		return false, nil //nolint:nilerr // and there is nobody to decide
	}
	candidates, err := json.Marshal(p.finding.Candidates)
	if err != nil {
		return false, err
	}
	err = postgres.InTenant(ctx, q.pool, at.tenant.ID, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO mapper.proposals (tenant, detector, digest, id, sealed, label, confidence, candidates, model, seen)
			SELECT $1, $2, $3, $4, $5::bytea, $6, $7::double precision, $8::json, $9, $10::bigint
			WHERE EXISTS (SELECT FROM mapper.proposals WHERE tenant = $1 AND detector = $2 AND digest = $3)
				OR (SELECT count(*) FROM (SELECT FROM mapper.proposals WHERE tenant = $1 AND state = 'open' LIMIT $11) open) < $11
			ON CONFLICT (tenant, detector, digest) DO UPDATE SET seen = proposals.seen + excluded.seen, last_at = now(),
				label = excluded.label, confidence = excluded.confidence, candidates = excluded.candidates, model = excluded.model
			RETURNING xmax = 0`,
			at.tenant.ID, at.detector, at.digest, idOf(at.place), sealed, p.finding.Labels[0], p.finding.Confidence, candidates, p.finding.Model, p.n, maxOpen).Scan(&first)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		q.passed.Add(float64(p.n))
		err = nil
	}
	return first, err
}

// drifted tells that a detector says what its table does not know.
func (q *Queue) drifted(ctx context.Context, at sighting, p *proposal) {
	q.drift.WithLabelValues(at.detector).Inc()
	e := api.Event{
		Kind: api.EventDrift, Time: time.Now(), TenantID: at.tenant.ID, Detector: at.detector, Taxonomy: p.finding.Labels, Scores: map[string]float64{},
		Confidence: p.finding.Confidence, Source: p.finding.Source,
		Findings: []api.EventFinding{{Native: at.digest, Labels: p.finding.Labels, Source: p.finding.Source, Confidence: p.finding.Confidence, Model: p.finding.Model}},
	}
	ctx, cancel := context.WithTimeout(ctx, postgres.Deadline)
	defer cancel()
	if err := q.recorder.Record(ctx, at.tenant, []api.Event{e}); err != nil {
		q.log.Warn("a drift is not in the audit", "detector", at.detector, "cause", err.Error())
	}
}

// idOf names a proposal or an override of a tenant.
func idOf(p place) string {
	sum := sha256.Sum256([]byte(p.detector + "\x00" + p.digest))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}
