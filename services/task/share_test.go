package task

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

// victim tells a process of these tests which replica to be.
const victim = "TASK_TEST_VICTIM"

// orders are a database, and the wrapped data key of the tenant a.
type orders struct {
	DB  config.Database
	Key []byte
}

func (o orders) callers(t *testing.T) map[string]access.Caller {
	t.Helper()
	a := accesstest.Caller(t, "a")
	vault, err := accesstest.Secrets(t).Vault("a", o.Key)
	if err != nil {
		t.Fatal(err)
	}
	a.Tenant = &access.Tenant{ID: "a", Vault: vault}
	return map[string]access.Caller{"a": a}
}

// mortal answers so many jobs, and then none, whatever its context says.
type mortal struct {
	*scripted
	left atomic.Int64
}

func (r *mortal) Run(ctx context.Context, c access.Caller, request []byte, progress func(float64)) (Answer, error) {
	if r.left.Add(-1) < 0 {
		select {}
	}
	return r.scripted.Run(ctx, c, request, progress)
}

// TestVictim is the replica that TestKill kills, in a process of its own.
func TestVictim(t *testing.T) {
	text := os.Getenv(victim)
	if text == "" {
		t.Skip("it is a part of TestKill")
	}
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, o.DB, o.callers(t))
	dying := &mortal{scripted: f.runner}
	dying.left.Store(20)
	f.runner.name, f.Service.runner = "victim", dying
	f.Run(ctx)
}

// Two replicas share 200 jobs, and one is killed while it works on as many as it may: each job ends once.
func TestKill(t *testing.T) {
	const n = 200
	o := orders{postgrestest.Migrated(t)("orchestration"), accesstest.Secrets(t).NewDataKey("a")}
	f := newFixture(t, o.DB, o.callers(t))
	jobs := make([]api.Task, n)
	for i := range jobs {
		jobs[i] = f.submit(t, "a", fmt.Sprint("job ", i), "")
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), victim+"="+string(text))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	t.Cleanup(kill)
	in := func(state api.TaskState, want int) func() bool {
		return func() bool {
			return f.count(t, "SELECT count(*) FROM orchestration.jobs WHERE state = $1", string(state)) == want
		}
	}
	until(t, "all that the other replica will do", in(api.TaskCompleted, 20))
	until(t, "stuck in the other replica", in(api.TaskRunning, workers))
	f.run(t)
	until(t, "all but what is stuck", in(api.TaskCompleted, n-workers))
	kill()
	until(t, "all", in(api.TaskCompleted, n))
	by, events := map[string]int{}, f.events(t)
	for i, j := range jobs {
		var result struct{ By string }
		got := f.when(t, j.ID, ended)
		if err := json.Unmarshal(got.Result, &result); err != nil {
			t.Fatalf("%s %v", got.Result, err)
		}
		by[result.By]++
		if got := events[fmt.Sprint("job ", i)]; got != 1 {
			t.Errorf("job %d has %d events", i, got)
		}
	}
	if len(events) != n || by["victim"] != 20 || by["one"] != n-20 {
		t.Errorf("%d events, %v; %s", len(events), by, &out)
	}
}

// What a replica has answered is dropped if another was given the job meanwhile, and has ended it.
func TestOvertaken(t *testing.T) {
	f := started(t)
	j := f.submit(t, "a", "deaf", "")
	f.when(t, j.ID, func(j api.Task) bool { return j.State == api.TaskRunning })
	a := f.callers["a"].Tenant
	if err := postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error { // what the other does in its transaction
		_, err := f.close(ctx, tx, a, j.ID, ending{state: api.TaskCompleted, Answer: Answer{Result: []byte(`"of another"`)}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	close(f.runner.hold)
	until(t, "at rest", func() bool {
		return f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE state = 'completed'") == 1
	})
	if got := f.when(t, j.ID, ended); string(got.Result) != `"of another"` || len(f.events(t)) != 0 {
		t.Errorf("%+v %s", got, got.Result)
	}
}

// A replica that stops gives back what it works on, at once.
func TestStop(t *testing.T) {
	db := postgrestest.Migrated(t)("orchestration")
	one := newFixture(t, db, nil).run(t)
	j := one.submit(t, "a", "hold", "")
	one.when(t, j.ID, func(j api.Task) bool { return j.State == api.TaskRunning })
	one.stop()
	two := newFixture(t, db, one.callers)
	two.runner.name = "two"
	close(two.runner.hold)
	two.run(t)
	if got := two.when(t, j.ID, ended); got.State != api.TaskCompleted || string(got.Result) != `{"by":"two","key":"key-of-a"}` {
		t.Errorf("%+v %s", got, got.Result)
	}
	if n := two.count(t, "SELECT attempt FROM orchestration.river_job"); n != 1 {
		t.Errorf("the stop was counted as one of %d attempts", n)
	}
}

// A tenant has so much open and no more, and one that has much open comes later.
func TestLimits(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	refused := func(name string, err error, code api.Code) {
		t.Helper()
		if e := api.AsError(err); err == nil || e.Code != code || code == api.Overloaded && e.RetryAfter == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	submit := func(tenant, webhook string, size int) error {
		_, err := f.Submit(ctx, f.callers[tenant], make([]byte, size), webhook)
		return err
	}
	refused("size", submit("a", "", api.MaxOrchestrateBody+1), api.PayloadTooLarge)
	refused("webhook", submit("a", "https://10.1.2.3/", 1), api.InvalidRequest)
	refused("webhook", submit("a", "canary", 1), api.InvalidRequest)
	for range workers {
		f.submit(t, "a", "x", "")
	}
	f.submit(t, "a", "x", "")
	f.submit(t, "b", "x", "")
	if n := f.count(t, "SELECT count(*) FROM orchestration.river_job WHERE priority = 1"); n != workers+1 {
		t.Errorf("%d jobs come first", n)
	}
	refused("bytes", postgres.InTenant(ctx, f.pool, "a", func(tx pgx.Tx) error {
		_, err := admit(ctx, tx, "a", openSize)
		return err
	}), api.Overloaded)
	f.exec(t, "INSERT INTO orchestration.jobs (tenant, id, key_id, river_id, request, key) SELECT 'a', n::text, 'k', 0, '', '' FROM generate_series(1, $1) n", openJobs-workers-1)
	refused("jobs", submit("a", "", 1), api.Overloaded)
	if err := submit("b", "", 1); err != nil {
		t.Error(err)
	}
}

// Jobs expire, a deleted tenant's jobs go at once, and what River has lost comes back.
func TestTidy(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), map[string]access.Caller{"a": accesstest.Caller(t, "a"), "gone": {Tenant: &access.Tenant{ID: "gone"}}}).run(t)
	f.exec(t, "INSERT INTO orchestration.jobs (tenant, id, key_id, river_id, request, key) VALUES ('gone', 'open', 'k', 0, '', '')")
	lost, other := f.submit(t, "a", "hold", ""), f.submit(t, "a", "x", "")
	f.when(t, lost.ID, func(j api.Task) bool { return j.State == api.TaskRunning })
	f.when(t, other.ID, ended)
	f.exec(t, "DELETE FROM orchestration.river_job")
	close(f.runner.hold)
	if got := f.when(t, lost.ID, ended); got.State != api.TaskCompleted || f.events(t)["hold"] != 1 {
		t.Errorf("%+v", got)
	}
	f.exec(t, "UPDATE orchestration.jobs SET finished_at = now() - interval '25 hours' WHERE id = $1", lost.ID)
	until(t, "only one left", func() bool { return f.count(t, "SELECT count(*) FROM orchestration.jobs") == 1 })
	f.when(t, other.ID, ended)
}

// A job that kills its replicas fails in the end.
func TestPoison(t *testing.T) {
	f := newFixture(t, postgrestest.Migrated(t)("orchestration"), nil)
	j := f.submit(t, "a", "x", "")
	f.exec(t, "UPDATE orchestration.river_job SET attempt = $1", starts)
	f.run(t)
	if got := f.when(t, j.ID, ended); got.State != api.TaskFailed || got.Error.Code != api.Internal || f.runner.asked["x"] != 0 {
		t.Errorf("%+v", got)
	}
}
