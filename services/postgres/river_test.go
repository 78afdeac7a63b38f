package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

// describe lists what River's tables in the schema mapper are made of.
const describe = `
	SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE c.relnamespace = 'mapper'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'river%' AND c.relname <> 'river_migration'
	UNION ALL SELECT format('table %s %s', relname, relpersistence) FROM pg_class
	WHERE relnamespace = 'mapper'::regnamespace AND relkind = 'r' AND relname LIKE 'river%' AND relname <> 'river_migration'
	UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'mapper' AND indexname LIKE 'river%' AND tablename <> 'river_migration'
	UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
	WHERE connamespace = 'mapper'::regnamespace AND conrelid::regclass::text LIKE 'river%' AND conrelid <> coalesce(to_regclass('river_migration'), 0) AND contype <> 'n'
	UNION ALL SELECT format('value %s %s', enumlabel, row_number() OVER (ORDER BY enumsortorder)) FROM pg_enum WHERE enumtypid = 'mapper.river_job_state'::regtype
	UNION ALL SELECT format('function %s %s %s', proname, pg_get_function_arguments(oid), regexp_replace(prosrc, '\s+', ' ', 'g')) FROM pg_proc WHERE pronamespace = 'mapper'::regnamespace
	UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgrelid = 'mapper.river_job'::regclass AND NOT tgisinternal
	ORDER BY 1`

// Our migrations make what River's own make: a new release of River with another schema fails here.
func TestRiverSchema(t *testing.T) {
	for _, schema := range []string{"mapper", "orchestration"} {
		t.Run(schema, func(t *testing.T) { holdAgainstRiver(t, schema) })
	}
}

func holdAgainstRiver(t *testing.T, schema string) {
	ctx := context.Background()
	described := func(pool *pgxpool.Pool) []string {
		t.Helper()
		rows, err := pool.Query(ctx, strings.ReplaceAll(describe, "mapper", schema))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	theirs := postgrestest.Pool(t, postgrestest.New(t)(schema), schema)
	m, err := rivermigrate.New(riverpgxv5.New(theirs), &rivermigrate.Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	want, got := described(theirs), described(postgrestest.Pool(t, postgrestest.Migrated(t)(schema), schema))
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("too much: %s", line)
		}
	}
	if len(want) < 50 {
		t.Error(fmt.Sprint("only ", len(want), " lines"))
	}
}
