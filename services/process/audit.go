package process

import (
	"context"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
)

// Audit opens the service's journal, whose name is that of its directory, and what moves, signs, cleans and reads its
// events, in the schema of a pool.
func (p *Process) Audit(pool *pgxpool.Pool, name string) (*audit.Log, *audit.Feed, error) {
	c := p.Config
	j, err := journal.Open(filepath.Join(c.StateDir, name), int64(c.Audit.JournalMB)<<20)
	if err != nil {
		return nil, nil, err
	}
	p.OnEnd(func(context.Context) error { return j.Close() })
	log := audit.NewLog(j)
	p.Go(audit.NewWriter(log, pool, p.Log, p.Metrics).Run)
	keeper := &audit.Keeper{
		Pool: pool, Tenants: p.Keys.Tenants, Key: p.Secrets.Signing, Every: time.Duration(c.Audit.SealMinutes) * time.Minute,
		Retention: c.Audit.RetentionDays, Log: p.Log,
	}
	p.Go(keeper.Run)
	p.Part("journal", true, j.Err)
	return log, audit.NewFeed(pool), nil
}
