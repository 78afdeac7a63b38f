// Command analysis sums up what the mapper has decided.
//
//	analysis -config config/development.yaml
package main

import (
	"github.com/llama-mapper/llama-mapper/services/analysis"
	"github.com/llama-mapper/llama-mapper/services/process"
)

func main() { process.Main("analysis", build) }

func build(p *process.Process) error {
	analysis.New(p.Config.MapperURL).Register(p.Router)
	return nil
}
