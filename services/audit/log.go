package audit

import (
	"context"
	"errors"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/journal"
)

// Log takes events.
type Log struct {
	journal *journal.Journal
	wake    chan struct{} // to the Writer
}

// NewLog makes a log on a journal.
func NewLog(j *journal.Journal) *Log { return &Log{j, make(chan struct{}, 1)} }

// Record is Keep for mappings' events.
func (l *Log) Record(ctx context.Context, t *access.Tenant, events []api.Event) error {
	entries, err := Entries(events)
	if err != nil {
		return err
	}
	return l.Keep(ctx, t, entries)
}

// Keep has events of one tenant, all or none, on the disk before it returns nil. When the journal has no room the
// error is UNAVAILABLE, and the caller's response must be that.
func (l *Log) Keep(ctx context.Context, t *access.Tenant, events []Entry) error {
	records := make([][]byte, len(events))
	for i, e := range events {
		var err error
		if records[i], err = seal(t, e); err != nil {
			return err
		}
	}
	err := l.journal.Append(ctx, records...)
	switch {
	case err == nil:
		select {
		case l.wake <- struct{}{}:
		default: // it is awake already
		}
		return nil
	case errors.Is(err, journal.ErrFull):
		e := api.Errorf(api.Unavailable, "the audit has no room, and nothing is answered without it; make room on the disk of state_dir, or let it reach Postgres")
		e.RetryAfter, e.Err = 2*time.Second, err
		return e
	case errors.Is(err, journal.ErrClosed):
		e := api.Errorf(api.Unavailable, "the service is stopping; retry elsewhere")
		e.Err = err
		return e
	}
	return err
}
