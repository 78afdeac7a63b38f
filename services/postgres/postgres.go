// Package postgres opens a service's pool of connections, runs its migrations, and keeps tenants apart: every
// service has a schema and a role of its own, and rows are seen only by the tenant that a transaction is for.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// Deadline is what a request's work in Postgres may take, and the server ends a statement a little earlier, so
// that a connection is never given up in the middle of one.
const (
	Deadline         = 2 * time.Second
	statementTimeout = Deadline - 200*time.Millisecond
)

// Everyone is the tenant of a transaction that works for all of them: writing events, reading keys.
const Everyone = "*"

// Open makes a pool of a service, whose name may have a word behind it that tells its pools apart; names without a
// schema are of the service's. It connects when it is first used, so a server that is away does not stop the start. The
// pool's state goes to reg as db_pool_connections.
func Open(d config.Database, service string, reg prometheus.Registerer) (*pgxpool.Pool, error) {
	c, err := poolConfig(d, service)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("postgres %s: %w", service, err)
	}
	wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"pool": service}, reg)
	for state, read := range map[string]func(*pgxpool.Stat) int32{
		"idle": (*pgxpool.Stat).IdleConns, "in_use": (*pgxpool.Stat).AcquiredConns, "opening": (*pgxpool.Stat).ConstructingConns,
	} {
		gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "db_pool_connections", Help: "Connections to Postgres by state.", ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(read(pool.Stat())) })
		if err := wrapped.Register(gauge); err != nil {
			pool.Close()
			return nil, fmt.Errorf("postgres %s: %w", service, err)
		}
	}
	return pool, nil
}

func poolConfig(d config.Database, service string) (*pgxpool.Config, error) {
	// A URL says all of it, so that the rules of sslmode are libpq's.
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(d.User, string(d.Password)), Host: net.JoinHostPort(d.Host, strconv.Itoa(d.Port)),
		Path: "/" + d.Name, RawQuery: url.Values{"sslmode": {d.TLS}}.Encode(),
	}
	c, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("postgres %s: its host, port, name, user or tls is not valid", service) // err may quote the password
	}
	c.MaxConns = int32(d.Connections) //nolint:gosec // config bounds it
	c.MaxConnIdleTime = time.Minute
	cc := c.ConnConfig
	cc.ConnectTimeout = time.Second
	schema, _, _ := strings.Cut(service, " ")
	cc.RuntimeParams["search_path"] = schema + ", pg_temp" // what services share need not name the schema
	cc.RuntimeParams["application_name"] = "llama-mapper " + service
	cc.RuntimeParams["statement_timeout"] = strconv.FormatInt(statementTimeout.Milliseconds(), 10)
	cc.RuntimeParams["idle_in_transaction_session_timeout"] = "10000"
	return c, nil
}

// InTenant runs fn in a transaction that sees the rows of one tenant, or of Everyone. Row-level security holds
// that, whatever fn asks for.
func InTenant(ctx context.Context, pool *pgxpool.Pool, tenant string, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('app.tenant', $1, true)", tenant); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Patient lets the statements of a transaction take as long as work in the background may.
func Patient(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SET LOCAL statement_timeout = '30s'")
	return err
}

// forgotten is how many rows of a table one call of Forget deletes.
const forgotten = 10000

// Forget deletes what tables have of tenants that were deleted, some of it each time. A table comes before those that its
// rows refer to.
func Forget(ctx context.Context, pool *pgxpool.Pool, tenants []string, tables ...string) error {
	if len(tenants) == 0 {
		return nil
	}
	var errs []error
	for _, table := range tables {
		errs = append(errs, InTenant(ctx, pool, Everyone, func(tx pgx.Tx) error {
			if err := Patient(ctx, tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM %[1]s WHERE ctid IN (SELECT ctid FROM %[1]s WHERE tenant = ANY ($1) LIMIT $2 FOR UPDATE SKIP LOCKED)", table), tenants, forgotten)
			return err
		}))
	}
	return errors.Join(errs...)
}

// Away makes an error that says that Postgres does not answer one that a client may see. Errors of api stay.
func Away(err error) error {
	var ours *api.Error
	var refused *pgconn.PgError
	switch {
	case err == nil || errors.As(err, &ours):
		return err
	case errors.As(err, &refused) && (refused.Code[:2] == "42" || refused.Code[:2] == "22" || refused.Code[:2] == "23"):
		return err // the statement or its data is wrong, and a retry changes nothing
	}
	e := api.Errorf(api.Unavailable, "the database does not answer; retry in a few seconds")
	e.RetryAfter, e.Err = 2*time.Second, err
	return e
}
