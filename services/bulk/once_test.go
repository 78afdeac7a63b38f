package bulk

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// An upload that comes again with its Idempotency-Key is the first job, whatever has become of it.
func TestOnce(t *testing.T) {
	f := newFixture(t, nil)
	a, b := f.key(t, "a"), f.key(t, "b")
	upload := func(key, query, once, body string) (j api.Job) {
		t.Helper()
		if status := f.do(t, "POST", "/api/v1/jobs"+query, key, strings.NewReader(body), &j, "Idempotency-Key", once); status != 202 {
			t.Errorf("%d %+v", status, j)
		}
		return j
	}
	body := strings.Repeat(line("x"), 20*chunkLines) // more than is there before the handler is called
	first := upload(a, "", "key-of-a-client", body)
	if again := upload(a, "", "key-of-a-client", body); again.ID != first.ID {
		t.Errorf("%+v, not %s", again, first.ID)
	}
	f.ended(t, a, first.ID)
	if again := upload(a, "", "key-of-a-client", body); again.ID != first.ID || again.State != api.JobDone {
		t.Errorf("%+v, not %s", again, first.ID)
	}
	seen := map[string]bool{first.ID: true}
	for _, other := range []api.Job{upload(a, "", "k2", body), upload(a, "?source=model", "key-of-a-client", body), upload(b, "", "key-of-a-client", body), f.upload(t, a, body), f.upload(t, a, body)} {
		if seen[other.ID] {
			t.Errorf("%+v is another request's", other)
		}
		seen[other.ID] = true
	}
	var e api.Error
	if status := f.do(t, "POST", "/api/v1/jobs", a, strings.NewReader(line("x")), &e, "Idempotency-Key", strings.Repeat("k", 129)); status != 400 || e.Code != api.InvalidRequest {
		t.Errorf("%d %+v", status, e)
	}
	if n := f.count(t, "SELECT count(*) FROM mapper.jobs WHERE once LIKE '%key-of-a-client%'"); n != 0 {
		t.Error("the client's key is in the table")
	}
}

// The answer to COMMIT may be lost: the job runs, its client is told 503, and what it sends again is that job.
func TestOnceAfterLostCommit(t *testing.T) {
	f := newFixture(t, nil)
	f.key(t, "a")
	c := accesstest.CallerOf(t, f.keys, "a")
	id, found, err := f.create(ctx, c, api.View{}, "once")
	if err != nil || found {
		t.Fatal(found, err)
	}
	if err := f.start(ctx, "a", id); err != nil {
		t.Fatal(err)
	}
	if err := f.drop(ctx, "a", id); err != nil { // as after a failure
		t.Fatal(err)
	}
	if again, found, err := f.receive(ctx, c, strings.NewReader(line("x")), api.View{}, "once"); err != nil || !found || again != id {
		t.Errorf("%s %v %v, not %s", again, found, err, id)
	}
}

// An upload that never came to its end gives way to the one that comes again, and adds nothing any more.
func TestOnceWhileReceiving(t *testing.T) {
	f := newFixture(t, nil)
	f.key(t, "a")
	c := accesstest.CallerOf(t, f.keys, "a")
	from, to := io.Pipe()
	early := make(chan error)
	go func() {
		_, _, err := f.receive(context.Background(), c, from, api.View{}, "once")
		early <- err
	}()
	until(t, "there", func() bool { return f.count(t, "SELECT count(*) FROM mapper.jobs WHERE state = 'receiving'") == 1 })
	id, found, err := f.receive(ctx, c, strings.NewReader(line("x")), api.View{}, "once")
	if err != nil || found {
		t.Fatal(found, err)
	}
	io.WriteString(to, line("y"))
	to.Close()
	if err := <-early; api.AsError(err).Code != api.Conflict {
		t.Errorf("the early one: %v", err)
	}
	until(t, "removed", func() bool { return f.count(t, "SELECT count(*) FROM mapper.jobs") == 1 })
	err = postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
		var left string
		if err := tx.QueryRow(ctx, "SELECT id FROM mapper.jobs").Scan(&left); err != nil || left != id {
			t.Errorf("%s, not %s", left, id)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
