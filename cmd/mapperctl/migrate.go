package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

func migrateCommand() *cobra.Command {
	var s settings
	group := &cobra.Command{Use: "migrate", Short: "move the schema of a service: access, mapper, or all"}
	s.flag(group)
	add := func(use, short string, do func(context.Context, io.Writer, string, *postgres.Migrator) error) {
		group.AddCommand(&cobra.Command{Use: use + " SERVICE", Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return s.migrate(args[0], func(service string, m *postgres.Migrator) error { return do(c.Context(), c.OutOrStdout(), service, m) })
		}})
	}
	add("up", "apply every step that is missing", func(ctx context.Context, w io.Writer, service string, m *postgres.Migrator) error {
		n, err := m.Up(ctx)
		fmt.Fprintf(w, "%s: %d steps applied\n", service, n)
		return err
	})
	add("down", "take the last step back", func(ctx context.Context, _ io.Writer, _ string, m *postgres.Migrator) error { return m.Down(ctx) })
	add("status", "list the steps", func(ctx context.Context, w io.Writer, service string, m *postgres.Migrator) error {
		steps, err := m.Status(ctx)
		for _, step := range steps {
			fmt.Fprintf(w, "%s\t%s\t%s\n", service, step.Name, map[bool]string{true: "applied", false: "missing"}[step.Applied])
		}
		return err
	})
	return group
}

func (s *settings) migrate(service string, do func(string, *postgres.Migrator) error) error {
	services := []string{service}
	if service == "all" {
		services = postgres.Services
	} else if !slices.Contains(postgres.Services, service) {
		return fmt.Errorf("%s has no schema; %v have, and all means each", service, postgres.Services)
	}
	c, err := config.Load(s.path)
	if err != nil {
		return err
	}
	for _, service := range services {
		m, err := postgres.NewMigrator(c.DatabaseOf(service), service)
		if err != nil {
			return err
		}
		if err := errors.Join(do(service, m), m.Close()); err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
	}
	return nil
}
