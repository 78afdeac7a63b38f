package review_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/review"
)

func (f *fixture) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	err := postgres.InTenant(ctx, f.pool, "*", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

const manyOverrides = `INSERT INTO mapper.overrides (tenant, detector, digest, id, sealed, labels, key, removed)
	SELECT $1, 'many', n, 'many-' || n, 'x', '{PII.Other}', 'k', $3 FROM generate_series(1, $2) n`

// More overrides than a page has, all of one moment, are all read, and so is what comes after.
func TestFollowPages(t *testing.T) {
	f := newFixture(t)
	const n = 2*review.PageRows + 1
	f.exec(t, manyOverrides, "a", n, false)
	read := func() (found int) {
		if err := f.overrides.Follow(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range n + 1 {
			found += len(f.overrides.Find(f.a.Tenant, "many", fmt.Sprint(i)))
		}
		return found
	}
	f.exec(t, "UPDATE mapper.overrides SET changed_at = now()")
	if found := read(); found != n {
		t.Errorf("%d of %d", found, n)
	}
	f.exec(t, "UPDATE mapper.overrides SET removed = true, changed_at = clock_timestamp() WHERE digest = '7'")
	if found := read(); found != n-1 {
		t.Errorf("%d of %d", found, n-1)
	}
	f.exec(t, "DELETE FROM mapper.overrides WHERE digest = '8'")
	review.Age(f.overrides)
	if found := read(); found != n-2 {
		t.Errorf("%d of %d", found, n-2)
	}
}
