// Command mapper serves canonical labels for detectors' outputs. The engine is in the process.
//
//	mapper -config config/development.yaml
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/bulk"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/guard"
	"github.com/llama-mapper/llama-mapper/services/idempotency"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/review"
)

func main() { process.Main("mapper", build) }

// build wires the mapper: the model, the audit, the routes.
func build(p *process.Process) error {
	_, err := buildMapper(p)
	return err
}

func buildMapper(p *process.Process) (*mapper.Service, error) {
	pool, err := postgres.Open(p.Config.DatabaseOf("mapper"), "mapper", p.Metrics)
	if err != nil {
		return nil, err
	}
	p.OnEnd(func(context.Context) error { pool.Close(); return nil })
	log, feed, err := p.Audit(pool, "journal")
	if err != nil {
		return nil, err
	}
	feed.Register(p.Router)
	overrides, queue := review.NewOverrides(pool, p.Log), review.NewQueue(pool, log, p.Keys, p.Log, p.Metrics)
	p.Go(overrides.Run)
	p.Go(queue.Run)
	service, err := buildService(p, overrides, queue)
	if err != nil {
		return nil, err
	}
	review.NewStore(pool, service.Knows, service.TableOf).Register(p.Router)
	timeout := process.MS(p.Config.Mapping.TimeoutMS)
	service.Register(p.Router, log, idempotency.New(p.Redis, 2*timeout, p.Metrics).Wrap)
	if err := buildJobs(p, service); err != nil {
		return nil, err
	}
	return service, buildGuards(p)
}

// buildJobs adds mapping in bulk, on connections of its own: no request waits for one of them.
func buildJobs(p *process.Process, service *mapper.Service) error {
	d := p.Config.DatabaseOf("mapper")
	d.Connections = max(bulk.Connections, d.Connections)
	pool, err := postgres.Open(d, "mapper jobs", p.Metrics)
	if err != nil {
		return err
	}
	p.OnEnd(func(context.Context) error { pool.Close(); return nil })
	jobs, err := bulk.New(pool, service, p.Keys, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	jobs.Register(p.Router)
	p.Go(jobs.Run)
	return nil
}

// buildService loads the model and what stands beside it.
func buildService(p *process.Process, overrides mapper.Overrides, reviewer mapper.Reviewer) (*mapper.Service, error) {
	knowledge, err := mapper.LoadKnowledge()
	if err != nil {
		return nil, err
	}
	model, err := loadModel(p, knowledge.Taxonomy)
	if err != nil {
		return nil, err
	}
	p.Log.Info("loaded", "model", model.Version(), "taxonomy", knowledge.Taxonomy.Version, "frameworks", knowledge.Frameworks.Version())
	m := p.Config.Mapping
	o := mapper.Options{Threshold: m.Threshold, Thresholds: m.Thresholds, Timeout: process.MS(m.TimeoutMS), Overrides: overrides, Reviewer: reviewer}
	if m.Cache > 0 {
		if o.Cache, err = mapper.NewCache(m.Cache, p.Redis, p.Secrets.Cache, p.Metrics); err != nil {
			return nil, err
		}
	}
	service := mapper.New(model, knowledge, o, p.Metrics)
	p.Go(service.Run)
	return service, nil
}

// buildGuards loads the models that judge content.
func buildGuards(p *process.Process) error {
	c := p.Config
	o := guard.Options{Engine: engineOptions(c), Threads: cmp.Or(c.Engine.Threads, cores()), GPULayers: c.Engine.GPULayers}
	var guards []*guard.Guard
	for _, path := range c.Guard.ModelPaths {
		ckpt, err := checkpoint.Open(path)
		if err == nil && slices.ContainsFunc(guards, func(g *guard.Guard) bool { return g.Name() == ckpt.Name }) {
			err = fmt.Errorf("two guards are named %s; change the name in a manifest", ckpt.Name)
		}
		if err != nil {
			return fmt.Errorf("guard.model_paths: %w", err)
		}
		g, err := guard.Load(ckpt, o, p.Metrics)
		if err != nil {
			return fmt.Errorf("guard.model_paths: %w", err)
		}
		p.OnEnd(g.Close)
		p.Log.Info("loaded", "guard", g.ID())
		guards = append(guards, g)
	}
	guard.New(guards, process.MS(c.Guard.TimeoutMS)).Register(p.Router)
	return nil
}

func engineOptions(c config.Config) engine.Options {
	o := engine.Default()
	o.Queue, o.Slots, o.Step = c.Engine.Queue, c.Engine.Slots, process.MS(c.Engine.StepMS)
	return o
}

func cores() int { return min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }

// model is one checkpoint, or the versions of a store.
type model interface {
	mapper.Model
	Close(context.Context) error
}

// loadModel opens llama.cpp and loads the checkpoint, or the active one of a store; then it also takes the
// store's control socket.
func loadModel(p *process.Process, taxonomy *mapper.Taxonomy) (model, error) {
	c := p.Config
	if c.Model.ServingBackend != "local" {
		return nil, fmt.Errorf("model.serving_backend: %s is not served by this release; set local and model_path", c.Model.ServingBackend)
	}
	if err := openLibrary(c, p.Log); err != nil {
		return nil, err
	}
	load := func(ckpt *checkpoint.Checkpoint) (*mapper.Local, error) {
		return mapper.NewLocal(ckpt, taxonomy, mapper.LocalOptions{
			Engine: engineOptions(c), Lanes: c.Engine.Lanes, Threads: c.Engine.Threads, Cores: cores(), GPULayers: c.Engine.GPULayers,
		}, p.Metrics)
	}
	path := c.Model.ModelPath
	if checkpoint.IsStore(path) {
		return loadStore(p, path, load)
	}
	ckpt, err := checkpoint.Open(path)
	if err != nil {
		return nil, fmt.Errorf("model.model_path: %w", err)
	}
	one, err := load(ckpt)
	if err != nil {
		return nil, err
	}
	p.OnEnd(one.Close)
	return one, nil
}

func loadStore(p *process.Process, path string, load func(*checkpoint.Checkpoint) (*mapper.Local, error)) (model, error) {
	store, err := checkpoint.OpenStore(path)
	if err != nil {
		return nil, fmt.Errorf("model.model_path: %w", err)
	}
	versions, err := mapper.NewVersions(store, load)
	if err != nil {
		return nil, fmt.Errorf("model.model_path: %w", err)
	}
	ln, err := control.Listen(filepath.Join(path, control.Socket))
	if err != nil {
		return nil, errors.Join(err, versions.Close(context.Background()))
	}
	p.OnEnd(versions.Close)
	p.Part("checkpoint", true, func() error {
		if versions.Version() == "" {
			return errors.New("no version is active; mapperctl checkpoint activate")
		}
		return nil
	})
	p.Go(func(ctx context.Context) { operators(ctx, p.Log, ln, versions) })
	return versions, nil
}

// operators carries out what comes over the control socket.
func operators(ctx context.Context, log *slog.Logger, ln net.Listener, v *mapper.Versions) {
	err := control.Serve(ctx, ln, func(ctx context.Context, c control.Command) control.Reply {
		err := v.Do(ctx, c)
		log.Info("checkpoint command", "action", c.Action, "version", c.Version, "active", v.Version(), "failed", err != nil)
		now := v.Status()
		reply := control.Reply{Active: now.Active, Canary: now.Canary, Percent: now.Percent}
		if err != nil {
			reply.Error = err.Error()
		}
		return reply
	})
	if err != nil {
		log.Error("checkpoints cannot be changed until a restart", "cause", err.Error())
	}
}

func openLibrary(c config.Config, log *slog.Logger) error {
	llama.SetLogger(log)
	if err := llama.Open(""); err != nil {
		return err
	}
	for _, path := range c.Engine.Plugins {
		if err := llama.LoadPlugin(path); err != nil {
			return err
		}
	}
	devices, err := llama.Devices()
	if err != nil {
		return err
	}
	for _, d := range devices {
		log.Info("device", "name", d.Name, "description", d.Description, "gpu", d.GPU, "free_mb", d.MemoryFree>>20, "total_mb", d.MemoryTotal>>20)
	}
	return nil
}
