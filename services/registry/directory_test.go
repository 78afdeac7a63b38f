package registry_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/remote"
)

var guard = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

// fake is a remote detector that is asked nothing but how it is.
type fake struct {
	*remote.Detector
	closed *atomic.Int32
}

func (f fake) Close() { f.closed.Add(1); f.Detector.Close() }

func spec(name, rest string) string {
	return `{"name":"` + name + `","kind":"fms","url":"http://127.0.0.1:9999","covers":["PII"]` + rest + `}`
}

const shipped = "name: default\ndescription: it ships\n"

// directory makes one whose copy is in a file, and counts what was closed.
func (f *fixture) directory(t *testing.T, file string) (*registry.Directory, *atomic.Int32) {
	t.Helper()
	var closed atomic.Int32
	d, err := registry.NewDirectory(f.pool, f.keys, filepath.Join(f.dir, file), func(s remote.Spec) (registry.Remote, error) {
		d, err := remote.New(s, guard)
		return fake{d, &closed}, err
	}, []byte(shipped), f.log)
	if err != nil {
		t.Fatal(err)
	}
	return d, &closed
}

// floor says what holds for a tenant: the description of its floor, and the version; or why none does.
func floor(d *registry.Directory, c access.Caller) string {
	p, version, err := d.Floor(c.Tenant.ID)
	if err != nil {
		return string(api.AsError(err).Code)
	}
	return p.Description + " " + string(rune('0'+version))
}

func names(all []*registry.Registered) (s string) {
	for _, d := range all {
		s += d.Name() + " " + d.Version() + "; "
	}
	return strings.TrimSuffix(s, "; ")
}

// A directory follows what is put, activated and removed, for each tenant its own.
func TestDirectory(t *testing.T) {
	f := newFixture(t)
	d, closed := f.directory(t, "copy.json")
	if got := floor(d, f.a); got != "UNAVAILABLE" || d.State() == nil {
		t.Errorf("before it knows anything: %s", got)
	}
	follow := func(wantA, wantB string) {
		t.Helper()
		d.Follow(ctx)
		a, b := floor(d, f.a)+"; "+names(d.Detectors("a")), floor(d, f.b)+"; "+names(d.Detectors("b"))
		if a != wantA || b != wantB || d.State() != nil || d.Fresh() != nil {
			t.Errorf("a %q, want %q; b %q, want %q; %v, %v", a, wantA, b, wantB, d.State(), d.Fresh())
		}
	}
	follow("it ships 0; ", "it ships 0; ")
	f.put(t, f.a, registry.Policies, "default", "name: default\ndescription: one", false)
	f.put(t, f.a, registry.Detectors, "y", spec("y", ""), true)
	f.put(t, f.a, registry.Detectors, "x", spec("x", ""), true)
	follow("it ships 0; x 1; y 1", "it ships 0; ")
	before := d.Detectors("a")
	f.put(t, f.a, registry.Policies, "default", "name: default\ndescription: two", true)
	f.put(t, f.b, registry.Policies, "default", "name: default\ndescription: other", true)
	f.put(t, f.a, registry.Detectors, "y", spec("y", `,"window":5`), true)
	follow("two 2; x 1; y 2", "other 1; ")
	if after := d.Detectors("a"); after[0] != before[0] || after[1] == before[1] || closed.Load() != 0 {
		t.Error("x was made again, or y was closed while requests may have it")
	}
	if _, err := f.store.Activate(ctx, f.a, registry.Policies, "default", 1, 0); err != nil {
		t.Fatal(err)
	}
	follow("one 1; x 1; y 2", "other 1; ")
	for _, kind := range []registry.Kind{registry.Policies, registry.Detectors} {
		name := map[registry.Kind]string{registry.Policies: "default", registry.Detectors: "x"}[kind]
		if err := f.store.Remove(ctx, f.a, kind, name, 0); err != nil {
			t.Fatal(err)
		}
	}
	follow("it ships 0; y 2", "other 1; ")
	if _, _, err := d.Policy("a", "none"); api.AsError(err).Code != api.NotFound {
		t.Error(err)
	}

	registry.Close(d, time.Now().Add(-time.Minute))
	if n := closed.Load(); n != 0 {
		t.Errorf("%d closed at once", n)
	}
	registry.Close(d, time.Now())
	if n := closed.Load(); n != 2 {
		t.Errorf("%d closed after a while, want 2", n)
	}
	run, stop := context.WithCancel(ctx)
	stop()
	d.Run(run)
	if n := closed.Load(); n != 3 {
		t.Errorf("%d closed at the end, want 3", n)
	}
}

// A service that starts while Postgres is away has what was in force; without the copy it refuses, rather than use a
// policy that may be weaker. The copy says nothing in clear.
func TestAway(t *testing.T) {
	f := newFixture(t)
	d, _ := f.directory(t, "copy.json")
	f.put(t, f.a, registry.Policies, "default", "name: default\ndescription: canary", true)
	f.put(t, f.a, registry.Detectors, "x", spec("x", `,"auth":{"type":"bearer","token":"canary"}`), true)
	d.Follow(ctx)
	raw, err := os.ReadFile(filepath.Join(f.dir, "copy.json"))
	if err != nil || strings.Contains(string(raw), "canary") {
		t.Errorf("%s %v", raw, err)
	}
	f.pool.Close()
	again, _ := f.directory(t, "copy.json")
	again.Follow(ctx)
	if got := floor(again, f.a) + "; " + floor(again, f.b) + "; " + names(again.Detectors("a")); got != "canary 1; it ships 0; x 1" || again.State() != nil || again.Fresh() == nil {
		t.Errorf("%s, %v, %v", got, again.State(), again.Fresh())
	}
	if err := os.WriteFile(filepath.Join(f.dir, "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"none.json", "broken.json"} {
		empty, _ := f.directory(t, file)
		empty.Follow(ctx)
		if got := floor(empty, f.b) + "; " + names(empty.Detectors("a")); got != "UNAVAILABLE; " || empty.State() == nil {
			t.Errorf("%s: %s", file, got)
		}
	}
}

// What cannot be read is no reason to use what ships: a policy that another release has made, or one of a tenant whose
// key is not known yet.
func TestUnreadable(t *testing.T) {
	f := newFixture(t)
	f.put(t, f.a, registry.Policies, "default", "name: default\nnew_in_2030: true", true)
	f.put(t, f.a, registry.Detectors, "x", `{"name":"x","kind":"new"}`, true)
	f.put(t, f.b, registry.Policies, "default", "name: default\ndescription: mine", true)
	d, _ := f.directory(t, "copy.json")
	d.Follow(ctx)
	if got := floor(d, f.a) + "; " + floor(d, f.b) + "; " + names(d.Detectors("a")); got != "UNAVAILABLE; mine 1; " {
		t.Error(got)
	}
	f.keys = access.NewDirectory(f.access, accesstest.Secrets(t), filepath.Join(f.dir, "none.json"), quiet)
	early, _ := f.directory(t, "copy.json")
	if got := floor(early, f.b); got != "UNAVAILABLE" {
		t.Errorf("before the tenant's key is known: %s", got)
	}
	f.keys.Follow(ctx)
	early.Follow(ctx)
	if got := floor(early, f.b); got != "mine 1" {
		t.Errorf("once the tenant's key is known: %s", got)
	}
}

// Of a tenant that was deleted nothing is in force, nor in the copy.
func TestDeleted(t *testing.T) {
	f := newFixture(t)
	f.put(t, f.b, registry.Policies, "default", "name: default\ndescription: mine", true)
	f.put(t, f.b, registry.Detectors, "x", spec("x", ""), true)
	d, closed := f.directory(t, "copy.json")
	d.Follow(ctx)
	if err := f.tenants.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	d.Follow(ctx)
	late, _ := f.directory(t, "none.json")
	late.Follow(ctx)
	for _, d := range []*registry.Directory{d, late} {
		if got := floor(d, f.b) + "; " + names(d.Detectors("b")); got != "it ships 0; " {
			t.Error(got)
		}
	}
	registry.Close(d, time.Now())
	raw, err := os.ReadFile(filepath.Join(f.dir, "copy.json"))
	if closed.Load() != 1 || err != nil || strings.Contains(string(raw), `"Name"`) {
		t.Errorf("%d closed; %s, %v", closed.Load(), raw, err)
	}
}

// A copy that could not be written is written later.
func TestSavedLater(t *testing.T) {
	f := newFixture(t)
	d, _ := f.directory(t, "copy.json")
	f.put(t, f.a, registry.Policies, "default", "name: default\ndescription: mine", true)
	blocked := filepath.Join(f.dir, "copy.json.new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	d.Follow(ctx)
	if d.Fresh() == nil {
		t.Error("nobody is told that the copy could not be written")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	d.Follow(ctx)
	f.pool.Close()
	again, _ := f.directory(t, "copy.json")
	if got := floor(again, f.a); got != "mine 1" || d.Fresh() != nil {
		t.Errorf("%s, %v", got, d.Fresh())
	}
}

// well is a detector that says what is wanted of it.
type well struct {
	detect.Source
	err   atomic.Pointer[error]
	asked atomic.Int32
	block bool
}

func (w *well) Idempotent() bool { return true }
func (w *well) Close()           {}
func (w *well) Health(ctx context.Context) error {
	w.asked.Add(1)
	if w.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if e := w.err.Load(); e != nil {
		return *e
	}
	return nil
}

// Detectors are asked every 30 s, each on its own; three failures in a row make one unhealthy, one answer heals it.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, hangs := &well{}, &well{block: true}
		all := []*registry.Registered{{Remote: good}, {Remote: hangs}}
		if s := all[0].State(); s.State != api.HealthUnknown || s.CheckedAt != nil {
			t.Errorf("%+v", s)
		}
		ctx, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); registry.Watch(ctx, func() []*registry.Registered { return all }) }()
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		pass(20 * time.Second)
		if s := all[0].State(); s.State != api.HealthHealthy || good.asked.Load() != 1 {
			t.Errorf("%+v", s)
		}
		if s := all[1].State(); s.State != api.HealthUnknown || s.Failures != 1 || s.Reason != "timeout" {
			t.Errorf("%+v", s)
		}
		var refused error = &detect.Failure{Status: api.StatusError, Reason: "refused", Err: errors.New("secret")}
		good.err.Store(&refused)
		pass(90 * time.Second)
		if s := all[1].State(); s.State != api.HealthUnhealthy {
			t.Errorf("%+v", s)
		}
		pass(30 * time.Second)
		if s := all[0].State(); s.State != api.HealthUnhealthy || s.Reason != "refused" || s.Failures < 3 {
			t.Errorf("%+v", s)
		}
		good.err.Store(nil)
		pass(35 * time.Second)
		if s := all[0].State(); s.State != api.HealthHealthy || s.Failures != 0 || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		stop()
		<-done
	})
}
