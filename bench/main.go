// Command bench measures the mapper on this machine, everything side by side in one run: a bare decode loop,
// the running mapper over HTTP with the client on the same cores, the mapper under overload, and llama-server
// on the same weights and prompts if `make llama-server` has built it. Compare ratios, not machines.
//
//	make bench
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

// limit is the latency above which an answer is worth nothing.
const limit = 500 * time.Millisecond

func main() {
	path := flag.String("checkpoint", "checkpoints/mapper-tiny", "checkpoint directory")
	binary := flag.String("mapper", "bin/mapper", "mapper to start")
	key := flag.String("key", "", "API key for the mapper")
	tools := flag.String("tools", "", "directory of llama-server; empty skips it")
	each := flag.Duration("time", 5*time.Second, "length of one measurement")
	overload := flag.Duration("overload", 30*time.Second, "length of the overload")
	flag.Parse()
	if err := run(*path, *binary, *key, *tools, *each, *overload); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(path, binary, key, tools string, each, overload time.Duration) error {
	w, err := prepare(path)
	if err != nil {
		return err
	}
	fmt.Printf("%d cores; %s; %d distinct findings, %.1f tokens each after the prefix\n\n", runtime.NumCPU(), w.checkpoint.ID(), len(w.bodies), w.meanTokens())
	bare, err := w.bare(each)
	if err != nil {
		return err
	}
	ours8, err := measureMapper(w, binary, key, bare, each, overload)
	if err != nil || tools == "" {
		if tools == "" {
			fmt.Println("\nllama-server was not measured; `make llama-server` builds it")
		}
		return err
	}
	return measurePeer(w, tools, ours8, each)
}

// work is the same requests in the forms that the candidates want.
type work struct {
	checkpoint *checkpoint.Checkpoint
	taxonomy   *mapper.Taxonomy
	bodies     [][]byte        // for the mapper
	prompts    [][]llama.Token // for a decode loop and for llama-server, with BOS
	codes      []llama.Token
}

func (w *work) meanTokens() float64 {
	sum := 0
	for _, p := range w.prompts {
		sum += len(p) - 1
	}
	return float64(sum) / float64(len(w.prompts))
}

// requests is how many distinct findings are made; a measurement goes round when it needs more.
const requests = 20_000

var (
	subjects = []string{"SELF_HARM", "credit card number", "hate/threatening", "JAILBREAK_ATTEMPT", "email address", "toxic language", "us_ssn", "Violence", "PromptInjection",
		"api key", "phishing link", "sexual content", "misinformation", "passport", "weapons", "gender bias", "hallucination", "malware", "spam", "fraud"}
	before = []string{"possible", "severe", "detected", "likely", "high risk", "category", "user text with", "output has", "first", "repeated"}
	after  = []string{"in prompt", "in response", "found", "detected", "level 2", "score high", "medium", "by rule 7", "in document", "flag"}
)

func prepare(path string) (*work, error) {
	if err := llama.Open(""); err != nil {
		return nil, err
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return nil, err
	}
	o := engine.Default()
	local, err := mapper.NewLocal(c, t, mapper.LocalOptions{Engine: o, Lanes: 1, Threads: 1}, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	model, err := llama.LoadModel(c.Path(c.Base.File), llama.ModelOptions{})
	if err != nil {
		return nil, err
	}
	w := &work{checkpoint: c, taxonomy: t}
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	seen := map[string]bool{}
	for len(w.bodies) < requests {
		finding := fmt.Sprintf("%s %s %s %d", pick(before), pick(subjects), pick(after), rng.IntN(100))
		if seen[finding] {
			continue
		}
		seen[finding] = true
		prompt, err := local.Prompt("bench-detector", finding)
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(map[string]string{"detector": "bench-detector", "output": finding})
		if err != nil {
			return nil, err
		}
		w.bodies = append(w.bodies, body)
		w.prompts = append(w.prompts, append([]llama.Token{model.Info().BOS}, prompt...))
	}
	for _, label := range t.Labels {
		code, err := model.Tokenize(c.Codec.Codes[label.ID], true)
		if err != nil || len(code) != 1 {
			return nil, errors.Join(errors.New("the checkpoint's codec is not of type code"), err)
		}
		w.codes = append(w.codes, code[0])
	}
	return w, errors.Join(local.Close(noDeadline), model.Close())
}

func check(status int, body []byte) error {
	if status != 200 {
		return fmt.Errorf("status %d", status)
	}
	var m api.Mapping
	if err := json.Unmarshal(body, &m); err != nil || len(m.Taxonomy) == 0 {
		return fmt.Errorf("not a mapping: %w", err)
	}
	return nil
}
