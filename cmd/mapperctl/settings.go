package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// settings gives commands what the services' own settings say.
type settings struct{ path string }

// flag adds --config to a group of commands.
func (s *settings) flag(c *cobra.Command) {
	c.PersistentFlags().StringVar(&s.path, "config", "config/development.yaml", "settings file of the services; the environment comes first")
}

// pool opens a service's schema; the caller closes it.
func (s *settings) pool(service string) (config.Config, *pgxpool.Pool, error) {
	c, err := config.Load(s.path)
	if err != nil {
		return c, nil, err
	}
	pool, err := postgres.Open(c.DatabaseOf(service), service, prometheus.NewRegistry())
	return c, pool, err
}

// withStore runs f with the store of tenants and keys.
func (s *settings) withStore(f func(*access.Store) error) error {
	c, pool, err := s.pool("access")
	if err != nil {
		return err
	}
	defer pool.Close()
	secrets, err := access.NewSecrets(c)
	if err != nil {
		return err
	}
	return f(access.NewStore(pool, secrets))
}

// withFeed runs f with the events that a service keeps of a tenant.
func (s *settings) withFeed(ctx context.Context, service, tenant string, f func(*audit.Feed, *access.Tenant) error) error {
	c, keys, err := s.pool("access")
	if err != nil {
		return err
	}
	defer keys.Close()
	secrets, err := access.NewSecrets(c)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mapperctl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	known := access.NewDirectory(keys, secrets, filepath.Join(dir, "access.json"), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	known.Follow(ctx)
	t, err := known.Tenant(tenant)
	if err != nil {
		return errors.Join(err, known.State())
	}
	_, events, err := s.pool(service)
	if err != nil {
		return err
	}
	defer events.Close()
	return f(audit.NewFeed(events), t)
}

func configCommand() *cobra.Command {
	var s settings
	group := &cobra.Command{Use: "config", Short: "show settings"}
	s.flag(group)
	group.AddCommand(&cobra.Command{Use: "print", Short: "print every setting in force, secrets masked", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		conf, err := config.Load(s.path)
		if err != nil {
			return err
		}
		raw, err := conf.YAML()
		if err == nil {
			_, err = c.OutOrStdout().Write(raw)
		}
		return err
	}})
	return group
}
