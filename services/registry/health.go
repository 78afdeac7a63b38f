package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/remote"
)

const (
	every   = 30 * time.Second // between two questions to a detector, give or take a tenth
	answer  = 5 * time.Second  // what an answer may take
	atOnce  = 8                // detectors that are asked together
	strikes = 3                // failures in a row that make a detector unhealthy
)

// Remote is a remote detector. *remote.Detector is one.
type Remote interface {
	detect.Source
	Idempotent() bool                 // whether it may be asked twice about the same content
	Health(ctx context.Context) error // nil if it is well; a *detect.Failure if not
	Close()                           // waits for requests that are with it
}

// Make makes a detector of what was registered.
type Make func(spec remote.Spec) (Remote, error)

// Registered is a tenant's detector at its version in force, and how it is. That is for people: whether requests reach
// a detector is for its breaker to say.
type Registered struct {
	Remote
	version int
	kind    string // of its description

	mu   sync.Mutex // guards what follows
	info api.HealthInfo
	due  time.Time // of the next question
}

// Version implements detect.Source: the number of what was registered.
func (r *Registered) Version() string { return strconv.Itoa(r.version) }

// State says how the detector is.
func (r *Registered) State() api.HealthInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.info
	if out.State == "" {
		out.State = api.HealthUnknown
	}
	return out
}

// take says whether it is time to ask, and when the next time is.
func (r *Registered) take(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.due) {
		return false
	}
	r.due = now.Add(every*9/10 + rand.N(every/5)) //nolint:gosec // it spreads, and hides nothing
	return true
}

// note takes the answer to a question.
func (r *Registered) note(err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.CheckedAt = &now
	if err == nil {
		r.info.State, r.info.Failures, r.info.Reason = api.HealthHealthy, 0, ""
		return
	}
	r.info.Failures++
	r.info.Reason = reason(err)
	if r.info.Failures >= strikes {
		r.info.State = api.HealthUnhealthy
	}
}

// Watch asks detectors how they are until ctx ends.
func (d *Directory) Watch(ctx context.Context) { watch(ctx, d.all) }

func watch(ctx context.Context, all func() []*Registered) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	asking := pool.New().WithMaxGoroutines(atOnce)
	defer asking.Wait()
	for {
		for _, r := range all() {
			if ctx.Err() == nil && r.take(time.Now()) {
				asking.Go(func() { ask(ctx, r) })
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func ask(ctx context.Context, r *Registered) {
	bounded, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	if err := r.Health(bounded); ctx.Err() == nil {
		r.note(err, time.Now().UTC())
	}
}

// reason is a failure's, for people; one that has none is a deadline.
func reason(err error) string {
	var f *detect.Failure
	if errors.As(err, &f) {
		return f.Reason
	}
	return "timeout"
}
