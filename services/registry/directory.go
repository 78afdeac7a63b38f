package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/snapshot"
)

const (
	refresh  = 2 * time.Second  // how often changes are looked for
	overlap  = 30 * time.Second // how far back, for transactions that took their time before they committed
	tidying  = 10 * time.Minute
	patience = 30 * time.Second // of one look: the first reads all there is
	lastUse  = time.Minute      // how long a request may go on with a detector that was replaced
)

// Floor is the name of the policy that holds for all requests of a tenant.
const Floor = "default"

// row is one name and its version in force, as Postgres and the file have it.
type row struct {
	Tenant  string
	Kind    Kind
	Name    string
	Version int // 0 if none is in force
	Sealed  []byte
	Changed time.Time
}

type place struct {
	tenant string
	kind   Kind
	name   string
}

// own is what one tenant has in force.
type own struct {
	detectors []*Registered // by name; never changed, but replaced
	policies  map[string]ruled
}

// ruled is a policy in force, or why it is not known.
type ruled struct {
	policy  *policy.Policy
	version int
	err     error
}

// Directory is all tenants' detectors and policies in force, in memory, so that no request waits for Postgres. A copy
// is in a file, sealed as in Postgres, so that a service that starts while that is away knows them too.
type Directory struct {
	pool    *pgxpool.Pool
	keys    *access.Directory
	path    string
	make    Make
	text    []byte // of the policy that ships
	shipped *policy.Policy
	log     *slog.Logger

	following chan struct{} // has room for who takes changes over, and guards what follows
	rows      map[place]row
	waiting   map[place]bool // rows that are to be brought into force
	unsaved   bool           // whether the file lacks a change

	mu      sync.RWMutex // guards what follows
	tenants map[string]*own
	retired []retired

	loaded atomic.Bool
	failed atomic.Bool // whether the last look failed
}

// retired is a detector that was replaced, and when.
type retired struct {
	*Registered
	at time.Time
}

// NewDirectory makes a directory that knows what the file at path says. Run keeps it current. shipped is the policy of
// tenants without a floor of their own.
func NewDirectory(pool *pgxpool.Pool, keys *access.Directory, path string, build Make, shipped []byte, log *slog.Logger) (*Directory, error) {
	p, err := policy.Parse(shipped)
	if err != nil {
		return nil, fmt.Errorf("the policy that ships: %w", err)
	}
	d := &Directory{
		pool: pool, keys: keys, path: path, make: build, text: shipped, shipped: p, log: log,
		following: make(chan struct{}, 1), rows: map[place]row{}, waiting: map[place]bool{}, tenants: map[string]*own{},
	}
	if err := d.restore(); err != nil {
		log.Warn("the copy of policies and detectors cannot be used; Postgres has them", "cause", err.Error())
	}
	return d, nil
}

// Run follows Postgres until ctx ends, and closes all detectors.
func (d *Directory) Run(ctx context.Context) {
	tick, tidy := time.NewTicker(refresh), time.NewTicker(tidying)
	defer tick.Stop()
	defer tidy.Stop()
	for {
		d.Follow(ctx)
		d.close(time.Now().Add(-lastUse))
		select {
		case <-tick.C:
		case <-tidy.C:
			if err := d.Tidy(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("what deleted tenants had registered waits", "cause", err.Error())
			}
		case <-ctx.Done():
			for _, r := range d.all() {
				r.Close()
			}
			d.close(time.Now())
			return
		}
	}
}

// Tidy deletes all that deleted tenants had registered.
func (d *Directory) Tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return postgres.Forget(ctx, d.pool, access.Deleted(d.keys.Tenants()), "orchestration.versions", "orchestration.registered")
}

// close ends detectors that were replaced before a time.
func (d *Directory) close(before time.Time) {
	d.mu.Lock()
	old := d.retired
	d.retired = slices.DeleteFunc(slices.Clone(old), func(r retired) bool { return !r.at.After(before) })
	d.mu.Unlock()
	for _, r := range old {
		if !r.at.After(before) {
			r.Close()
		}
	}
}

// Follow takes over what has changed in Postgres.
func (d *Directory) Follow(ctx context.Context) {
	select {
	case d.following <- struct{}{}:
		defer func() { <-d.following }()
	case <-ctx.Done():
		return
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.refresh(bounded)
	if err == nil && d.unsaved {
		err = d.save()
		d.unsaved = err != nil
	}
	if ctx.Err() != nil {
		return
	}
	if before := d.failed.Swap(err != nil); err != nil && !before {
		d.log.Warn("policies and detectors, or their copy on disk, are as they were until this ends", "cause", err.Error())
	}
}

// State is nil once policies are known. Its text is for everyone.
func (d *Directory) State() error {
	if !d.loaded.Load() {
		return errors.New("policies are not loaded, and nothing is decided without them; Postgres is away, or `mapperctl migrate up orchestration` has not run")
	}
	return nil
}

// Fresh is nil while changes are seen, and written down.
func (d *Directory) Fresh() error {
	if d.failed.Load() {
		return errors.New("policies and detectors are as they were, or their copy is; the log says why")
	}
	return nil
}

func (d *Directory) refresh(ctx context.Context) error {
	var since time.Time
	if d.loaded.Load() {
		for _, r := range d.rows {
			if r.Changed.After(since) {
				since = r.Changed
			}
		}
	}
	var rows []row
	err := postgres.InTenant(ctx, d.pool, postgres.Everyone, func(tx pgx.Tx) error {
		if err := postgres.Patient(ctx, tx); err != nil {
			return err
		}
		found, err := tx.Query(ctx, `SELECT r.tenant, r.kind, r.name, coalesce(r.active, 0), v.sealed, r.changed_at
			FROM orchestration.registered r LEFT JOIN orchestration.versions v ON (v.tenant, v.kind, v.name, v.version) = (r.tenant, r.kind, r.name, r.active)
			WHERE r.changed_at > $1`, since.Add(-overlap))
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(found pgx.CollectableRow) (r row, err error) {
			return r, found.Scan(&r.Tenant, &r.Kind, &r.Name, &r.Version, &r.Sealed, &r.Changed)
		})
		return err
	})
	if err == nil {
		d.merge(rows)
	}
	return err
}

// merge takes rows over; the directory is loaded then.
func (d *Directory) merge(rows []row) {
	for _, r := range rows {
		at := place{r.Tenant, r.Kind, r.Name}
		if old, ok := d.rows[at]; (!ok || !old.Changed.Equal(r.Changed)) && !d.deleted(r.Tenant) {
			d.rows[at], d.waiting[at], d.unsaved = r, true, true
		}
	}
	for at, r := range d.rows {
		if d.deleted(r.Tenant) {
			r.Version = 0
			d.install(r)
			delete(d.rows, at)
			delete(d.waiting, at)
			d.unsaved = true
		}
	}
	for at := range d.waiting {
		if d.install(d.rows[at]) {
			delete(d.waiting, at)
		}
	}
	d.loaded.Store(true)
}

// deleted says whether a tenant's data key is gone.
func (d *Directory) deleted(tenant string) bool {
	t, err := d.keys.Tenant(tenant)
	return err == nil && t.Deleted()
}

// install brings a row into force. It says false if the tenant is not known yet; its policy is not known then either.
func (d *Directory) install(r row) bool {
	t, err := d.keys.Tenant(r.Tenant)
	known := err == nil
	var text []byte
	if known && r.Version != 0 {
		text, err = t.Vault.Open(r.Sealed)
	}
	if r.Kind == Policies {
		err = d.installPolicy(r, text, err)
	} else {
		err = d.installDetector(r, text, err)
	}
	if known && err != nil {
		d.log.Error("what was registered cannot be used by this release", "tenant", r.Tenant, "kind", string(r.Kind), "name", r.Name, "version", r.Version)
	}
	return known
}

func (d *Directory) installPolicy(r row, text []byte, err error) error {
	in := ruled{version: r.Version, err: err}
	if err == nil && r.Version != 0 {
		in.policy, in.err = policy.Parse(text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.of(r.Tenant)
	if in.version == 0 {
		delete(o.policies, r.Name)
	} else {
		o.policies[r.Name] = in
	}
	return in.err
}

func (d *Directory) installDetector(r row, text []byte, err error) error {
	var fresh *Registered
	if err == nil && r.Version != 0 {
		fresh, err = d.build(r.Version, text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.of(r.Tenant)
	var all []*Registered
	for _, old := range o.detectors {
		if old.Name() == r.Name {
			d.retired = append(d.retired, retired{old, time.Now()})
		} else {
			all = append(all, old)
		}
	}
	if fresh != nil {
		all = append(all, fresh)
	}
	slices.SortFunc(all, func(a, b *Registered) int { return cmp.Compare(a.Name(), b.Name()) })
	o.detectors = all
	return err
}

// build makes a detector of what was registered.
func (d *Directory) build(version int, text []byte) (*Registered, error) {
	spec, err := remote.Parse(text)
	if err != nil {
		return nil, err
	}
	made, err := d.make(spec)
	if err != nil {
		return nil, err
	}
	return &Registered{Remote: made, version: version, kind: spec.Kind}, nil
}

// of returns what a tenant has, to be changed; d.mu is held.
func (d *Directory) of(tenant string) *own {
	o := d.tenants[tenant]
	if o == nil {
		o = &own{policies: map[string]ruled{}}
		d.tenants[tenant] = o
	}
	return o
}

func (d *Directory) save() error {
	rows := make([]row, 0, len(d.rows))
	for _, r := range d.rows {
		rows = append(rows, r)
	}
	return snapshot.Save(d.path, rows)
}

func (d *Directory) restore() error {
	var rows []row
	if found, err := snapshot.Load(d.path, &rows); !found || err != nil {
		return err
	}
	d.merge(rows)
	return nil
}

// all returns every tenant's detectors.
func (d *Directory) all() (all []*Registered) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, o := range d.tenants {
		all = append(all, o.detectors...)
	}
	return all
}

// Detectors returns a tenant's detectors by name. The slice must not be changed; who has it may use the detectors for a
// minute, even if they are replaced in it.
func (d *Directory) Detectors(tenant string) []*Registered {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if o := d.tenants[tenant]; o != nil {
		return o.detectors
	}
	return nil
}

// Policy returns a tenant's policy in force and its version, 0 for the shipped floor of a tenant that has none of its
// own. What is not known is UNAVAILABLE, and never the shipped one: that might be weaker than the tenant's.
func (d *Directory) Policy(tenant, name string) (*policy.Policy, int, error) {
	if err := d.State(); err != nil {
		return nil, 0, api.Errorf(api.Unavailable, "%v", err)
	}
	name = cmp.Or(name, Floor)
	d.mu.RLock()
	defer d.mu.RUnlock()
	var in ruled
	if o := d.tenants[tenant]; o != nil {
		in = o.policies[name]
	}
	switch {
	case in.err != nil:
		return nil, 0, api.Errorf(api.Unavailable, "the policy cannot be read at the moment, and nothing is decided without it; if that lasts, make a new version of it")
	case in.policy != nil:
		return in.policy, in.version, nil
	case name == Floor:
		return d.shipped, 0, nil
	}
	return nil, 0, api.Errorf(api.NotFound, "there is no such policy in force; GET /api/v1/policies lists them")
}

// Floor returns the policy that holds for all requests of a tenant, and its version.
func (d *Directory) Floor(tenant string) (*policy.Policy, int, error) { return d.Policy(tenant, Floor) }
