package bulk

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/postgres"
)

// hold makes a mapper answer only once it is released.
func (f *fixture) hold() (release func()) {
	f.mapper.release = make(chan struct{})
	return func() { close(f.mapper.release) }
}

// count asks for a number, as everyone.
func (f *fixture) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := postgres.InTenant(ctx, f.pool, postgres.Everyone, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query, args...).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func lines(n int, output string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(fmt.Sprint(output, i%40)))
	}
	return b.String()
}

// A tenant has its share of the queue and no more, over all its jobs, so another tenant's chunks come between.
func TestShare(t *testing.T) {
	f := newFixture(t, nil)
	a, b := f.key(t, "a"), f.key(t, "b")
	release := f.hold()
	first, second := f.upload(t, a, lines(20*chunkLines, "x")), f.upload(t, a, lines(chunkLines, "x"))
	other := f.upload(t, b, lines(chunkLines, "y"))
	until(t, "working", func() bool { return f.mapper.running.Load() > 0 })
	for range 3 {
		if n := f.count(t, "SELECT count(*) FROM mapper.river_job WHERE args->>'tenant' = 'a' AND state <> 'completed'"); n != tenantShare {
			t.Errorf("%d chunks of one tenant are queued", n)
		}
		time.Sleep(100 * time.Millisecond)
	}
	release()
	if j := f.ended(t, b, other.ID); j.State != api.JobDone {
		t.Errorf("%+v", j)
	}
	var behind api.Job
	f.do(t, "GET", "/api/v1/jobs/"+first.ID, a, nil, &behind)
	if behind.Done > 15*chunkLines {
		t.Errorf("b's chunk waited for %d lines of a", behind.Done)
	}
	f.ended(t, a, first.ID)
	f.ended(t, a, second.ID)
	var page api.JobsResponse
	if f.do(t, "GET", "/api/v1/jobs", a, nil, &page); len(page.Jobs) != 2 || page.Jobs[0].ID != second.ID {
		t.Errorf("%+v", page)
	}
	if status := f.do(t, "GET", "/api/v1/jobs/"+first.ID, b, nil, nil); status != 404 {
		t.Errorf("another tenant's job: %d", status)
	}
	if status := f.do(t, "DELETE", "/api/v1/jobs/"+first.ID, b, nil, nil); status != 404 {
		t.Errorf("another tenant's job: %d", status)
	}
}

// A cancelled job ends at once, what was worked on is not kept, and the tenant's next job goes on.
func TestCancel(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	release := f.hold()
	j, next := f.upload(t, key, lines(10*chunkLines, "x")), f.upload(t, key, lines(10, "x"))
	until(t, "working", func() bool { return f.mapper.running.Load() > 0 })
	if status := f.do(t, "GET", "/api/v1/jobs/"+j.ID+"/result", key, nil, nil); status != 409 {
		t.Errorf("the result of a job that runs: %d", status)
	}
	for range 2 {
		if status := f.do(t, "DELETE", "/api/v1/jobs/"+j.ID, key, nil, nil); status != 204 {
			t.Errorf("%d", status)
		}
	}
	until(t, "given up", func() bool {
		return f.count(t, "SELECT count(*) FROM mapper.river_job WHERE args->>'job' = $1 AND state <> 'cancelled'", j.ID) == 0
	})
	release()
	if j := f.ended(t, key, j.ID); j.State != api.JobCancelled || j.Done != 0 {
		t.Errorf("%+v", j)
	}
	if n := f.count(t, "SELECT count(*) FROM mapper.job_chunks WHERE job = $1 AND input IS NOT NULL", j.ID); n != 0 {
		t.Errorf("%d chunks keep what they were sent", n)
	}
	var raw []byte
	if status := f.do(t, "GET", "/api/v1/jobs/"+j.ID+"/result?partial=1", key, nil, &raw); status != 200 || len(raw) != 0 {
		t.Errorf("%d %s", status, raw)
	}
	if done := f.ended(t, key, next.ID); done.State != api.JobDone || len(f.result(t, key, next.ID)) != 10 {
		t.Errorf("%+v", done)
	}
	if status := f.do(t, "DELETE", "/api/v1/jobs/"+next.ID, key, nil, nil); status != 409 {
		t.Errorf("a job that is done: %d", status)
	}
}

// What cannot be a job leaves none.
func TestRefused(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	check := func(name string, want int, query, body string, headers ...string) {
		t.Helper()
		var e api.Error
		if status := f.do(t, "POST", "/api/v1/jobs"+query, key, strings.NewReader(body), &e, headers...); status != want || e.Message == "" || strings.Contains(e.Message, "canary") {
			t.Errorf("%s: %d %+v", name, status, e)
		}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, lines(2000, "x"))
	z.Close()
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	io.Copy(z, io.LimitReader(zeros{}, 64<<20))
	z.Close()
	check("empty", 400, "", "")
	check("query", 400, "?source=canary", line("x"))
	check("encoding", 400, "", line("x"), "Content-Encoding", "br")
	check("no gzip", 400, "", "canary", "Content-Encoding", "gzip")
	check("half a gzip", 400, "", zipped.String()[:zipped.Len()/2], "Content-Encoding", "gzip")
	check("a long line", 413, "", line("x")+strings.Repeat("canary", 20_000))
	check("a bomb of one line", 413, "", bomb.String(), "Content-Encoding", "gzip")
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: 1000000\r\n\r\n%s", key, lines(1000, "x"))
	until(t, "receiving", func() bool { return f.count(t, "SELECT count(*) FROM mapper.job_chunks") > 0 })
	conn.Close()
	until(t, "dropped", func() bool { return f.count(t, "SELECT count(*) FROM mapper.jobs") == 0 })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A tenant has so many jobs that have not ended, and no more.
func TestOpenJobs(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	defer f.hold()()
	for range openJobs {
		f.upload(t, key, line("x"))
	}
	if status := f.do(t, "POST", "/api/v1/jobs", key, strings.NewReader(line("x")), nil); status != 409 {
		t.Errorf("one more: %d", status)
	}
}

// A tenant's uploads, however slow, leave room for those of others.
func TestUploads(t *testing.T) {
	f := newFixture(t, nil)
	a, b := f.key(t, "a"), f.key(t, "b")
	err := postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO mapper.jobs (tenant, id, key_id) SELECT 'a', 'slow ' || n, 'k' FROM generate_series(1, $1) n", ownUploads)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var e api.Error
	if status := f.do(t, "POST", "/api/v1/jobs", a, strings.NewReader(line("x")), &e); status != 409 || !strings.Contains(e.Message, "uploads") {
		t.Errorf("one more: %d %+v", status, e)
	}
	f.upload(t, b, line("x"))
}

// Jobs expire, dead uploads go, a deleted tenant's jobs go at once, and what River has lost comes back.
func TestTidy(t *testing.T) {
	f := newFixture(t, nil)
	a, b := f.key(t, "a"), f.key(t, "b")
	exec := func(statement string) {
		t.Helper()
		if err := postgres.InTenant(ctx, f.pool, postgres.Everyone, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, statement); return err }); err != nil {
			t.Fatal(err)
		}
	}
	release := f.hold()
	lost := f.upload(t, a, lines(3*chunkLines, "x"))
	until(t, "working", func() bool { return f.mapper.running.Load() > 0 })
	exec("DELETE FROM mapper.river_job")
	release()
	if j := f.ended(t, a, lost.ID); j.State != api.JobDone || len(f.result(t, a, lost.ID)) != 3*chunkLines || len(f.events(t, "a", lost.ID)) != 3*chunkLines {
		t.Errorf("%+v", j)
	}
	exec("INSERT INTO mapper.jobs (tenant, id, key_id, touched_at) VALUES ('a', 'dead', 'k', now() - interval '11 minutes'), ('a', 'alive', 'k', now())")
	exec("UPDATE mapper.jobs SET created_at = now() - interval '8 days' WHERE id = '" + lost.ID + "'")
	until(t, "only one left", func() bool { return f.count(t, "SELECT count(*) FROM mapper.jobs WHERE tenant = 'a'") == 1 })
	if n := f.count(t, "SELECT count(*) FROM mapper.job_chunks"); n != 0 {
		t.Errorf("%d chunks of a job that has expired", n)
	}
	f.ended(t, b, f.upload(t, b, line("x")).ID)
	if err := f.store.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	until(t, "gone", func() bool { return f.count(t, "SELECT count(*) FROM mapper.jobs WHERE tenant = 'b'") == 0 })
}

// Many jobs that have expired are deleted in several transactions, so that each can end in its time.
func TestRemove(t *testing.T) {
	f := newFixture(t, nil)
	f.stop()
	err := postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO mapper.jobs (tenant, id, key_id, created_at) SELECT 'a', n, 'k', now() - interval '8 days' FROM generate_series(1, $1) n", 2*removed+1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{removed + 1, 1, 0} {
		if err := f.remove(ctx); err != nil {
			t.Fatal(err)
		}
		if n := f.count(t, "SELECT count(*) FROM mapper.jobs"); n != want {
			t.Errorf("%d are left, not %d", n, want)
		}
	}
}

// A replica that stops gives its chunks back, and another that shares the database does all.
func TestStop(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	f.mapper.step = 5 * time.Millisecond
	j := f.upload(t, key, lines(12*chunkLines, "x"))
	until(t, "some done", func() bool { return f.count(t, "SELECT done FROM mapper.jobs WHERE id = $1", j.ID) > 0 })
	f.stop()
	other := newFixture(t, f.of)
	other.key(t, "a")
	if j = other.ended(t, key, j.ID); j.State != api.JobDone || j.Failed != 0 || len(other.result(t, key, j.ID)) != 12*chunkLines || len(other.events(t, "a", j.ID)) != 12*chunkLines {
		t.Errorf("%+v", j)
	}
}

// A chunk that was damaged costs its own lines and no others, and the job ends.
func TestDamaged(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "a")
	release := f.hold()
	j := f.upload(t, key, lines(tenantShare*chunkLines, "x"))
	until(t, "working", func() bool { return f.mapper.running.Load() > 0 })
	const last = tenantShare - 1 // which waits for a worker
	for _, statement := range []string{
		"UPDATE mapper.job_chunks SET input = 'x' WHERE job = $1 AND number = $2",
		"UPDATE mapper.river_job SET attempt = max_attempts - 1 WHERE args->>'job' = $1 AND (args->>'number')::int = $2",
	} {
		if err := postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error { _, err := tx.Exec(ctx, statement, j.ID, last); return err }); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if j = f.ended(t, key, j.ID); j.State != api.JobDone || j.Failed != chunkLines {
		t.Errorf("%+v", j)
	}
	for i, l := range f.result(t, key, j.ID) {
		if (l.Error != nil) != (i >= last*chunkLines) {
			t.Errorf("line %d: %+v", i+1, l)
		}
	}
}

// A chunk that takes longer than it may goes back to the queue, and then on from what it has answers to.
func TestSlow(t *testing.T) {
	f := newFixture(t, nil)
	key := f.key(t, "b")
	f.patient = time.Second
	f.mapper.step = 100 * time.Millisecond
	const pairs = 20 * askedAtOnce // two seconds
	var body strings.Builder
	for i := range pairs {
		body.WriteString(line(fmt.Sprint("x", i)))
	}
	j := f.ended(t, key, f.upload(t, key, body.String()).ID)
	if j.State != api.JobDone || j.Failed != 0 || len(f.result(t, key, j.ID)) != pairs || len(f.events(t, "b", j.ID)) != pairs {
		t.Errorf("%+v", j)
	}
	if f.begun.Len() != 0 {
		t.Errorf("%d chunks are kept that are done", f.begun.Len())
	}
}
