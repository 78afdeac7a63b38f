package mapper

import "github.com/llama-mapper/llama-mapper/services/lint"

// SARIF writes problems of tables as a SARIF 2.1.0 log.
func SARIF(problems []lint.Problem) ([]byte, error) {
	return lint.SARIF("llama-mapper-tables", lintRules, problems)
}
