// Command orchestration serves the built-in detectors by the FMS detector API, and keeps what tenants register.
//
//	orchestration -config config/development.yaml
package main

import (
	"context"
	"path/filepath"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/injection"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/orchestration"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/registry"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/web"
)

func main() { process.Main("orchestration", build) }

func build(p *process.Process) error {
	// What each covers is the categories of the taxonomy that its labels are in.
	builtin := []struct {
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
	var detectors []detect.Detector
	var sources []detect.Source
	for _, b := range builtin {
		detectors, sources = append(detectors, b.Detector), append(sources, detect.Builtin(b.Detector, b.covers...))
	}
	orchestration.New(detectors, p.Metrics).Register(p.Router)
	_, err := buildRegistry(p, sources)
	return err
}

// shipped is the policy of tenants that have no floor of their own: what policies say where they say nothing.
const shipped = "name: default\n"

// buildRegistry adds what tenants register.
func buildRegistry(p *process.Process, builtin []detect.Source) (*registry.Directory, error) {
	pool, err := postgres.Open(p.Config.DatabaseOf("orchestration"), "orchestration", p.Metrics)
	if err != nil {
		return nil, err
	}
	p.OnEnd(func(context.Context) error { pool.Close(); return nil })
	networks, err := web.ParseNetworks(p.Config.Egress.AllowedNetworks)
	if err != nil {
		return nil, err
	}
	guard := egress.New(networks)
	connect := func(s remote.Spec) (registry.Remote, error) { return remote.New(s, guard) }
	directory, err := registry.NewDirectory(pool, p.Keys, filepath.Join(p.Config.StateDir, "registry-"+p.Name+".json"), connect, []byte(shipped), p.Log)
	if err != nil {
		return nil, err
	}
	p.Go(directory.Run)
	p.Go(directory.Watch)
	p.Part("registry", true, directory.State)
	p.Part("registry_postgres", false, directory.Fresh)
	registry.New(registry.NewStore(pool), directory, builtin, guard).Register(p.Router)
	return directory, nil
}
