// Command orchestration serves the built-in detectors by the FMS detector API.
//
//	orchestration -config config/development.yaml
package main

import (
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/injection"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/orchestration"
	"github.com/llama-mapper/llama-mapper/services/process"
)

func main() { process.Main("orchestration", build) }

func build(p *process.Process) error {
	orchestration.New([]detect.Detector{pii.New(), secrets.New(), injection.New(), toxicity.New(), urls.New(), code.New()}, p.Metrics).Register(p.Router)
	return nil
}
