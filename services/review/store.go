package review

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Store has proposals, overrides and decisions in Postgres.
type Store struct {
	pool  *pgxpool.Pool
	known func(label string) bool
	table func(detector string) string
}

// NewStore makes a store. known says whether a label is in the taxonomy; table names the table of a detector, or the
// detector in lower case.
func NewStore(pool *pgxpool.Pool, known func(label string) bool, table func(detector string) string) *Store {
	return &Store{pool, known, table}
}

// states are those of a proposal.
var states = map[string]bool{"open": true, "accepted": true, "rejected": true}

// Proposals returns a page of a tenant's proposals in a state, oldest first, behind a cursor.
func (s *Store) Proposals(ctx context.Context, t *access.Tenant, state string, after int64, limit int) (out api.ProposalsResponse, err error) {
	out = api.ProposalsResponse{Proposals: []api.Proposal{}, Next: api.Cursor(after)}
	if !states[state] {
		return out, api.Errorf(api.InvalidRequest, "state must be open, accepted or rejected")
	}
	err = postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT number, id, detector, sealed, label, confidence, candidates, model, seen, first_at, last_at
			FROM mapper.proposals WHERE tenant = $1 AND state = $2 AND number > $3 ORDER BY number LIMIT $4`, t.ID, state, after, limit)
		if err != nil {
			return err
		}
		var number int64
		var sealed, candidates []byte
		p := api.Proposal{State: state}
		_, err = pgx.ForEachRow(rows, []any{&number, &p.ID, &p.Detector, &sealed, &p.Label, &p.Confidence, &candidates, &p.Model, &p.Seen, &p.FirstAt, &p.LastAt}, func() error {
			native, err := t.Vault.Open(sealed)
			if err != nil {
				return err
			}
			p.Native, p.Candidates = string(native), []api.Candidate{}
			if err := json.Unmarshal(candidates, &p.Candidates); err != nil {
				return err
			}
			if p.Candidates == nil {
				p.Candidates = []api.Candidate{}
			}
			out.Proposals = append(out.Proposals, p)
			out.Next = strconv.FormatInt(number, 10)
			return nil
		})
		return err
	})
	return out, err
}

// Decide accepts or rejects open proposals, all in one transaction, and returns how many there were. Accepting makes
// overrides of them, with labels, or with the model's answer where there are none.
func (s *Store) Decide(ctx context.Context, c access.Caller, req api.DecideRequest) (n int, err error) {
	if err := s.check(req.Labels); err != nil {
		return 0, err
	}
	err = postgres.InTenant(ctx, s.pool, c.Tenant.ID, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `UPDATE mapper.proposals SET state = $3 WHERE tenant = $1 AND id = ANY ($2) AND state = 'open'
			RETURNING id, detector, digest, sealed, label`, c.Tenant.ID, req.IDs, req.Action+"ed")
		if err != nil {
			return err
		}
		type proposed struct {
			id string
			place
			sealed []byte
			label  string
		}
		all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p proposed, err error) {
			return p, r.Scan(&p.id, &p.detector, &p.digest, &p.sealed, &p.label)
		})
		if err != nil {
			return err
		}
		n = len(all)
		for _, p := range all {
			labels := req.Labels
			if len(labels) == 0 {
				labels = []string{p.label}
			}
			if req.Action == "accept" {
				if err := s.put(ctx, tx, c, p.place, p.sealed, labels); err != nil {
					return err
				}
			}
			if err := s.note(ctx, tx, c, req.Action, p.place, labels); err != nil {
				return err
			}
		}
		if req.Action == "accept" {
			if err := room(ctx, tx, c.Tenant.ID); err != nil {
				return err
			}
		}
		return trim(ctx, tx, c.Tenant.ID)
	})
	if err == nil && n == 0 {
		err = api.Errorf(api.NotFound, "none of the ids is of an open proposal")
	}
	return n, err
}

// check holds labels to the taxonomy.
func (s *Store) check(labels []string) error {
	for _, l := range labels {
		if !s.known(l) {
			return api.Errorf(api.InvalidRequest, "labels must be in the taxonomy; GET /api/v1/taxonomy lists them")
		}
	}
	return nil
}

// Override makes or replaces an override.
func (s *Store) Override(ctx context.Context, c access.Caller, req api.OverrideRequest) (id string, err error) {
	if err := s.check(req.Labels); err != nil {
		return "", err
	}
	at := place{s.table(req.Detector), digest(c.Tenant, req.Native)}
	sealed, err := c.Tenant.Vault.Seal([]byte(req.Native))
	if err != nil {
		return "", err
	}
	err = postgres.InTenant(ctx, s.pool, c.Tenant.ID, func(tx pgx.Tx) error {
		return errors.Join(s.put(ctx, tx, c, at, sealed, req.Labels), s.note(ctx, tx, c, "override", at, req.Labels), room(ctx, tx, c.Tenant.ID), trim(ctx, tx, c.Tenant.ID))
	})
	return idOf(at), err
}

func (s *Store) put(ctx context.Context, tx pgx.Tx, c access.Caller, at place, sealed []byte, labels []string) error {
	_, err := tx.Exec(ctx, `INSERT INTO mapper.overrides (tenant, detector, digest, id, sealed, labels, key) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, detector, digest) DO UPDATE SET sealed = excluded.sealed, labels = excluded.labels, key = excluded.key,
			changed_at = clock_timestamp(), removed = false`, c.Tenant.ID, at.detector, at.digest, idOf(at), sealed, labels, c.Key.ID)
	return err
}

func (s *Store) note(ctx context.Context, tx pgx.Tx, c access.Caller, action string, at place, labels []string) error {
	_, err := tx.Exec(ctx, "INSERT INTO mapper.decisions (tenant, key, action, id, detector, labels) VALUES ($1, $2, $3, $4, $5, $6)",
		c.Tenant.ID, c.Key.ID, action, idOf(at), at.detector, labels)
	return err
}

// Remove ends an override.
func (s *Store) Remove(ctx context.Context, c access.Caller, id string) error {
	return postgres.InTenant(ctx, s.pool, c.Tenant.ID, func(tx pgx.Tx) error {
		var at place
		var labels []string
		err := tx.QueryRow(ctx, `UPDATE mapper.overrides SET removed = true, changed_at = clock_timestamp(), key = $3
			WHERE tenant = $1 AND id = $2 AND NOT removed RETURNING detector, digest, labels`, c.Tenant.ID, id, c.Key.ID).Scan(&at.detector, &at.digest, &labels)
		if errors.Is(err, pgx.ErrNoRows) {
			return api.Errorf(api.NotFound, "there is no such override")
		}
		if err != nil {
			return err
		}
		return errors.Join(s.note(ctx, tx, c, "remove", at, labels), trim(ctx, tx, c.Tenant.ID))
	})
}

// List returns a tenant's overrides by detector; of one detector, if that is not "".
func (s *Store) List(ctx context.Context, t *access.Tenant, detector string) ([]api.Override, error) {
	all := []api.Override{}
	err := postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, detector, sealed, labels, key, changed_at FROM mapper.overrides
			WHERE tenant = $1 AND NOT removed AND ($2 = '' OR detector = $2) ORDER BY detector, changed_at, id LIMIT $3`, t.ID, detector, maxOverrides)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (o api.Override, err error) {
			var sealed []byte
			if err := r.Scan(&o.ID, &o.Detector, &sealed, &o.Labels, &o.KeyID, &o.ChangedAt); err != nil {
				return o, err
			}
			native, err := t.Vault.Open(sealed)
			o.Native = string(native)
			return o, err
		})
		return err
	})
	return all, err
}

// Export is a tenant's overrides of a detector in the form of a table's maps, to be put into config/detectors.
func (s *Store) Export(ctx context.Context, t *access.Tenant, detector string) ([]byte, error) {
	overrides, err := s.List(ctx, t, s.table(detector))
	if err != nil {
		return nil, err
	}
	maps := map[string][]string{}
	for _, o := range overrides {
		maps[o.Native] = o.Labels
	}
	return yaml.Marshal(map[string]any{"detector": s.table(detector), "maps": maps})
}

// Decisions returns a tenant's latest decisions, latest first.
func (s *Store) Decisions(ctx context.Context, t *access.Tenant, limit int) ([]api.Decision, error) {
	all := []api.Decision{}
	err := postgres.InTenant(ctx, s.pool, t.ID, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT at, key, action, id, detector, labels FROM mapper.decisions WHERE tenant = $1 ORDER BY number DESC LIMIT $2", t.ID, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (d api.Decision, err error) {
			return d, r.Scan(&d.At, &d.KeyID, &d.Action, &d.ID, &d.Detector, &d.Labels)
		})
		return err
	})
	return all, err
}
