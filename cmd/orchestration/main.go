// Command orchestration looks at content: it runs detectors under a tenant's policy, has the mapper name what they find,
// and decides.
//
//	orchestration -config config/development.yaml
package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/injection"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/idempotency"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/orchestration"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/policy/rego"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/receipt"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/task"
	"github.com/llama-mapper/llama-mapper/services/web"
)

func main() { process.Main("orchestration", build) }

// detectors are the built-in ones, with the categories of the taxonomy that each looks into. A whole category means that
// its silence is no vote against what another has found.
func detectors() (orchestration.Contents, []detect.Source) {
	all := []struct {
		detect.Detector
		covers []string
	}{
		{pii.New(), []string{"PII"}},
		{secrets.New(), []string{"SECURITY"}},
		{injection.New(), []string{"PROMPT_INJECTION", "JAILBREAK"}},
		{toxicity.New(), []string{"HARM"}},
		{urls.New(), []string{"SECURITY"}},
		{code.New(), []string{"SECURITY"}},
	}
	var plain orchestration.Contents
	var sources []detect.Source
	for _, d := range all {
		plain, sources = append(plain, d.Detector), append(sources, detect.Builtin(d.Detector, d.covers...))
	}
	return plain, sources
}

// limits are those of the fan-out, its defaults; drills change them.
var limits fanout.Options

// build wires the service.
func build(p *process.Process) error {
	c := p.Config
	d := c.DatabaseOf("orchestration")
	d.Connections = max(d.Connections, requestConnections+task.Connections)
	pool, err := postgres.Open(d, "orchestration", p.Metrics)
	if err != nil {
		return err
	}
	p.OnEnd(func(context.Context) error { pool.Close(); return nil })
	networks, err := web.ParseNetworks(c.Egress.AllowedNetworks)
	if err != nil {
		return err
	}
	knowledge, err := mapper.LoadKnowledge()
	if err != nil {
		return err
	}
	guard, programs := egress.New(networks), rego.New()
	contents, builtin := detectors()
	parts := orchestration.Parts{
		Contents: contents, Builtin: builtin, Labeller: orchestration.NewLabeller(c.MapperURL, p.Secrets), Pool: fanout.New(limits, p.Metrics),
		Refiner: programs, Spells: knowledge.Spells(), Release: process.Version,
	}
	p.OnEnd(parts.Pool.Close)
	store := registry.NewStore(pool)
	known, err := buildRegistry(p, pool, store, guard, builtin, policy.Known{Labels: knowledge.Taxonomy.IDs(), Programs: programs.Check})
	if err != nil {
		return err
	}
	log, feed, err := p.Audit(pool, "journal-orchestration")
	if err != nil {
		return err
	}
	receipts := receipt.New(log, feed, p.Secrets.Signing, orchestration.Policies(store, known, programs))
	receipts.Register(p.Router)
	parts.Registry, parts.Recorder = known, receipts
	return buildService(p, parts, pool, guard)
}

// requestConnections is how many of the pool are left to requests.
const requestConnections = 8

// buildService adds what looks at content, at once and in the background.
func buildService(p *process.Process, parts orchestration.Parts, pool *pgxpool.Pool, guard *egress.Guard) error {
	o := p.Config.Orchestration
	service, err := orchestration.New(parts, orchestration.Options{InFlight: o.InFlight, Cache: o.Cache, CacheLife: time.Duration(o.CacheSeconds) * time.Second}, p.Metrics)
	if err != nil {
		return err
	}
	tasks, err := task.New(pool, service, p.Keys, guard, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	tasks.Register(p.Router)
	p.Go(tasks.Run)
	service.Tasks = tasks
	service.Register(p.Router, idempotency.New(p.Redis, api.MaxAsync+time.Second, p.Metrics).Wrap)
	return nil
}

// buildRegistry adds what tenants register.
func buildRegistry(p *process.Process, pool *pgxpool.Pool, store *registry.Store, guard *egress.Guard, builtin []detect.Source, known policy.Known) (*registry.Directory, error) {
	connect := func(s remote.Spec) (registry.Remote, error) { return remote.New(s, guard) }
	directory, err := registry.NewDirectory(pool, p.Keys, filepath.Join(p.Config.StateDir, "registry-"+p.Name+".json"), connect, config.DefaultPolicy(), p.Log)
	if err != nil {
		return nil, err
	}
	p.Go(directory.Run)
	p.Go(directory.Watch)
	p.Part("registry", true, directory.State)
	p.Part("registry_postgres", false, directory.Fresh)
	registry.New(store, directory, builtin, guard, known).Register(p.Router)
	return directory, nil
}
