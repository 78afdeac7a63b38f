// Package postgrestest gives tests a database of their own on the real server that `make test` starts.
package postgrestest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// Server is the address of the server, for its administrator; without one the test is skipped.
func Server(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_POSTGRES")
	if server == "" {
		t.Skip("there is no TEST_POSTGRES; `make test` starts a server and sets it")
	}
	return server
}

// New makes a database with the services' empty schemas and returns where each service finds its own.
func New(t testing.TB) func(service string) config.Database {
	t.Helper()
	ctx, server := context.Background(), Server(t)
	name := "test_" + strings.ToLower(rand.Text())
	exec(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	c, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	c.Database = name
	db, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	for _, service := range postgres.Services {
		if _, err := db.Exec(ctx, "CREATE SCHEMA "+service+" AUTHORIZATION "+service); err != nil {
			t.Fatal(err)
		}
	}
	return func(service string) config.Database {
		password := os.Getenv(config.Prefix + strings.ToUpper(service) + "_DATABASE__PASSWORD")
		return config.Database{
			Host: c.Host, Port: int(c.Port), Name: name, User: service, Password: config.Secret(password), TLS: "disable", Connections: 8,
		}
	}
}

// Migrated is New with the schemas of today.
func Migrated(t testing.TB) func(service string) config.Database {
	t.Helper()
	of := New(t)
	for _, service := range postgres.Services {
		m, err := postgres.NewMigrator(of(service), service)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return of
}

// Pool opens a service's schema until the test ends.
func Pool(t testing.TB, d config.Database, service string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(d, service, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func exec(t testing.TB, server, statement string) {
	t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}
