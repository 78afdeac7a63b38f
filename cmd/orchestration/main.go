// Command orchestration serves the built-in detectors by the FMS detector API, and keeps what tenants register.
//
//	orchestration -config config/development.yaml
package main

import (
	"context"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/injection"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/orchestration"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/policy/rego"
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
	directory, err := registry.NewDirectory(pool, p.Keys, filepath.Join(p.Config.StateDir, "registry-"+p.Name+".json"), connect, config.DefaultPolicy(), p.Log)
	if err != nil {
		return nil, err
	}
	p.Go(directory.Run)
	p.Go(directory.Watch)
	p.Part("registry", true, directory.State)
	p.Part("registry_postgres", false, directory.Fresh)
	labels, err := taxonomy()
	if err != nil {
		return nil, err
	}
	known := policy.Known{Labels: labels, Programs: rego.New().Check}
	registry.New(registry.NewStore(pool), directory, builtin, guard, known).Register(p.Router)
	return directory, nil
}

// taxonomy returns the labels that there are.
func taxonomy() (labels []string, err error) {
	var doc struct{ Labels []struct{ ID string } }
	if err := yaml.Unmarshal(config.Taxonomy(), &doc); err != nil {
		return nil, fmt.Errorf("taxonomy: %w", err)
	}
	for _, l := range doc.Labels {
		labels = append(labels, l.ID)
	}
	return labels, nil
}
