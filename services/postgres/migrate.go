package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/llama-mapper/llama-mapper/config"
)

//go:embed migrations
var migrations embed.FS

// Services are those that have a schema.
var Services = []string{"access", "mapper", "orchestration"}

// Migration is one step of a schema.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Migrator moves a service's schema. Replicas may call it at once: one works, the others wait for it.
type Migrator struct {
	pool     *pgxpool.Pool
	provider *goose.Provider
}

// NewMigrator makes a migrator for a service; Close it.
func NewMigrator(d config.Database, service string) (*Migrator, error) {
	steps, err := fs.Sub(migrations, "migrations/"+service)
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", service, err)
	}
	c, err := poolConfig(d, service)
	if err != nil {
		return nil, err
	}
	delete(c.ConnConfig.RuntimeParams, "statement_timeout")
	delete(c.ConnConfig.RuntimeParams, "idle_in_transaction_session_timeout")
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("postgres %s: %w", service, err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("migrations of %s: %w", service, err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), steps,
		goose.WithSessionLocker(locker), goose.WithTableName(service+".schema_version"))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("migrations of %s: %w", service, err)
	}
	return &Migrator{pool, provider}, nil
}

// Up applies every step that is missing and returns how many there were.
func (m *Migrator) Up(ctx context.Context) (int, error) {
	done, err := m.provider.Up(ctx)
	return len(done), err
}

// Down takes the last step back.
func (m *Migrator) Down(ctx context.Context) error {
	_, err := m.provider.Down(ctx)
	return err
}

// Status lists the steps, oldest first.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	all, err := m.provider.Status(ctx)
	if err != nil {
		return nil, err
	}
	steps := make([]Migration, len(all))
	for i, s := range all {
		steps[i] = Migration{s.Source.Version, s.Source.Path, s.State == goose.StateApplied}
	}
	return steps, nil
}

// Close ends its connections.
func (m *Migrator) Close() error {
	err := m.provider.Close()
	m.pool.Close()
	return err
}
