package mapper

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/evaluation"
)

// Versions is the Model of a checkpoint store: its active version answers, and a canary may answer a share of
// the requests. Versions change while requests are answered, and none is lost.
type Versions struct {
	store *checkpoint.Store
	load  func(*checkpoint.Checkpoint) (*Local, error)
	now   atomic.Pointer[serving]
	mu    sync.Mutex // one change at a time
}

// serving is what answers at a moment; it is replaced as a whole.
type serving struct {
	active  *Local
	canary  *Local // nil without one
	percent int    // of the requests that the canary answers
}

var _ Model = (*Versions)(nil)

// drain is how long a version that is replaced may take to answer what it has.
const drain = 30 * time.Second

// NewVersions loads the active version of a store. Where none is, nothing can be asked until Activate.
func NewVersions(s *checkpoint.Store, load func(*checkpoint.Checkpoint) (*Local, error)) (*Versions, error) {
	id, err := s.Active()
	if err != nil {
		return nil, err
	}
	v := &Versions{store: s, load: load}
	v.now.Store(&serving{})
	if id == "" {
		return v, nil
	}
	c, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	active, err := load(c)
	if err != nil {
		return nil, err
	}
	v.now.Store(&serving{active: active})
	return v, nil
}

// Classify asks the version that the request falls to. The same request falls to the same version.
func (v *Versions) Classify(ctx context.Context, detector, finding string) (Answer, error) {
	for {
		s := v.now.Load()
		a, err := s.pick(detector, finding).Classify(ctx, detector, finding)
		if err != nil && ctx.Err() == nil && v.now.Load() != s { // it was closed under this request
			continue
		}
		return a, err
	}
}

func (s *serving) pick(detector, finding string) *Local {
	if s.canary == nil {
		return s.active
	}
	h := fnv.New32a()
	h.Write([]byte(detector + "\x00" + finding))
	if int(h.Sum32()%100) < s.percent {
		return s.canary
	}
	return s.active
}

// Version is the active one.
func (v *Versions) Version() string { return v.Status().Active }

// Answers is the version that the request falls to; "" while none is active.
func (v *Versions) Answers(detector, finding string) string {
	if l := v.now.Load().pick(detector, finding); l != nil {
		return l.Version()
	}
	return ""
}

// Status says what answers.
type Status struct {
	Active  string `json:"active"`
	Canary  string `json:"canary,omitempty"`
	Percent int    `json:"percent,omitempty"`
}

// Status returns what answers now.
func (v *Versions) Status() Status {
	s := v.now.Load()
	var out Status
	if s.active != nil {
		out.Active = s.active.Version()
	}
	if s.canary != nil {
		out.Canary, out.Percent = s.canary.Version(), s.percent
	}
	return out
}

// Do carries out an operator's command.
func (v *Versions) Do(ctx context.Context, c control.Command) error {
	if c.Action == "status" {
		return nil
	}
	id, err := v.choose(c)
	if err != nil {
		return err
	}
	g := Gate{Margin: c.Margin}
	if c.Action != "rollback" { // that one has answered before, and there is no time to lose
		if g.Sets, err = v.gateSets(id); err != nil {
			return err
		}
	}
	if c.Action == "canary" {
		return v.Canary(ctx, id, c.Percent, g)
	}
	return v.Activate(ctx, id, c.Action, g)
}

// choose finds the version that a command is about, and installs it where it says so.
func (v *Versions) choose(c control.Command) (string, error) {
	switch {
	case c.Action == "rollback":
		return v.store.Before()
	case c.Action == "canary" && c.Percent == 0:
		return v.Version(), nil
	case c.Action != "activate" && c.Action != "canary":
		return "", fmt.Errorf("%q is not status, activate, rollback or canary", c.Action)
	case c.Dir == "":
		return c.Version, nil
	}
	ckpt, err := v.store.Install(c.Dir)
	if err != nil {
		return "", err
	}
	return ckpt.ID(), nil
}

// gateSets reads the sets that the active version ships with; those of the new one where it has none.
func (v *Versions) gateSets(id string) ([]evaluation.Set, error) {
	active := v.now.Load().active
	if active == nil {
		return nil, nil
	}
	for _, from := range []string{active.Version(), id} {
		paths, err := v.store.Sets(from)
		if err != nil {
			return nil, err
		}
		var sets []evaluation.Set
		for _, path := range paths {
			set, err := evaluation.OpenSet(path, active.labels)
			if err != nil {
				return nil, err
			}
			sets = append(sets, set)
		}
		if len(sets) > 0 {
			return sets, nil
		}
	}
	return nil, nil
}

// Activate loads a version of the store, holds it against the gate and the active one, and lets it answer in
// the place of that and of any canary. On an error nothing has changed. action goes into the history.
func (v *Versions) Activate(ctx context.Context, id, action string, g Gate) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	unlock, err := v.store.Lock()
	if err != nil {
		return err
	}
	defer unlock() //nolint:errcheck // closing a file that was only locked
	old := v.now.Load()
	if v.Version() == id {
		return fmt.Errorf("%s is active already", id)
	}
	var fresh *Local
	canary := old.canary != nil && old.canary.Version() == id
	err = v.store.Activate(id, action, func(c *checkpoint.Checkpoint) (err error) {
		if canary { // it is loaded already
			fresh = old.canary
			return g.Check(ctx, c, fresh, old.active)
		}
		fresh, err = v.try(ctx, c, old.active, g)
		return err
	})
	switch {
	case err == nil:
		return v.replace(ctx, old, &serving{active: fresh})
	case fresh == nil || canary: // a canary that is not good enough for all stays what it was
		return err
	}
	return errors.Join(err, fresh.Close(ctx)) // the store could not say so
}

// Canary lets a version of the store answer a share of the requests, in percent, 0 ends it.
func (v *Versions) Canary(ctx context.Context, id string, percent int, g Gate) error {
	if percent < 0 || percent > 99 {
		return fmt.Errorf("percent is %d, not 0 to 99; use activate for all", percent)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.now.Load()
	if percent == 0 {
		return v.replace(ctx, old, &serving{active: old.active})
	}
	if old.canary != nil && old.canary.Version() == id {
		return v.replace(ctx, old, &serving{active: old.active, canary: old.canary, percent: percent})
	}
	if v.Version() == id {
		return fmt.Errorf("%s is active already", id)
	}
	c, err := v.store.Open(id)
	if err != nil {
		return err
	}
	fresh, err := v.try(ctx, c, old.active, g)
	if err != nil {
		return err
	}
	return v.replace(ctx, old, &serving{active: old.active, canary: fresh, percent: percent})
}

// try loads a version and holds it against the gate.
func (v *Versions) try(ctx context.Context, c *checkpoint.Checkpoint, active *Local, g Gate) (*Local, error) {
	fresh, err := v.load(c)
	if err != nil {
		return nil, err
	}
	if err := g.Check(ctx, c, fresh, active); err != nil {
		return nil, errors.Join(fmt.Errorf("%s stays out: %w", c.ID(), err), fresh.Close(ctx))
	}
	return fresh, nil
}

// replace switches and closes what does not answer any more, after it has answered what it had.
func (v *Versions) replace(ctx context.Context, old, fresh *serving) error {
	v.now.Store(fresh)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	var errs []error
	for _, l := range []*Local{old.active, old.canary} {
		if l != nil && l != fresh.active && l != fresh.canary {
			errs = append(errs, l.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// Close stops all versions.
func (v *Versions) Close(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.replace(ctx, v.now.Load(), &serving{})
}
