package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/evaluation"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

// evalFlags are what eval can be told.
type evalFlags struct {
	sets       []string
	json, html string
	quantised  bool
}

func evalCommand() *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use: "eval DIR", Short: "measure a checkpoint on sets of labels with known answers", Args: cobra.ExactArgs(1),
		Long: "Answers every row of the sets with the checkpoint as requests would be answered, tables left out, and reports\n" +
			"agreement, calibration, coverage and confusion beside plain lookups in the checkpoint's lexicon. Without --set\n" +
			"the sets are DIR/eval/*.jsonl. A set is a file of lines {\"detector\":\"...\",\"label\":\"...\",\"accept\":[\"LABEL.ID\"]}.",
		RunE: func(c *cobra.Command, args []string) error { return eval(c.Context(), c.OutOrStdout(), args[0], f) },
	}
	c.Flags().StringArrayVar(&f.sets, "set", nil, "a file of rows; may be repeated")
	c.Flags().StringVar(&f.json, "json", "", "write the report as JSON to this file")
	c.Flags().StringVar(&f.html, "html", "", "write the report as one HTML page to this file")
	c.Flags().BoolVar(&f.quantised, "quantised", true, "quantise the base to 8 bits in a temporary file, if it is not yet, and compare")
	return c
}

func eval(ctx context.Context, stdout io.Writer, dir string, f evalFlags) error {
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return err
	}
	sets, err := openSets(dir, f.sets, taxonomy)
	if err != nil {
		return err
	}
	if err := llama.Open(""); err != nil {
		return err
	}
	c, err := checkpoint.Open(dir)
	if err != nil {
		return err
	}
	model, err := load(c, taxonomy)
	if err != nil {
		return err
	}
	report, answers, err := evaluation.Run(ctx, model.System(), sets, parallel)
	if err := errors.Join(err, model.Close(ctx)); err != nil {
		return err
	}
	if f.quantised && !c.Quantised() {
		if err := compareQuantised(ctx, c, taxonomy, report, sets, answers); err != nil {
			return err
		}
	}
	for path, write := range map[string]func(io.Writer) error{f.json: report.JSON, f.html: report.HTML} {
		if path != "" {
			if err := writeFile(path, write); err != nil {
				return err
			}
		}
	}
	return report.Text(stdout)
}

func openSets(dir string, paths []string, taxonomy *mapper.Taxonomy) ([]evaluation.Set, error) {
	if len(paths) == 0 {
		var err error
		if paths, err = filepath.Glob(filepath.Join(dir, "eval", "*.jsonl")); err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s has no eval/*.jsonl; name a file of rows with --set", dir)
		}
	}
	var labels []string
	for _, l := range taxonomy.Labels {
		labels = append(labels, l.ID)
	}
	var sets []evaluation.Set
	for _, path := range paths {
		set, err := evaluation.OpenSet(path, labels)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// compareQuantised measures the same checkpoint with its base in eight bits.
func compareQuantised(ctx context.Context, c *checkpoint.Checkpoint, t *mapper.Taxonomy, r *evaluation.Report, sets []evaluation.Set, was [][]evaluation.Answer) error {
	dir, err := os.MkdirTemp("", "mapperctl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "base-q8_0.gguf")
	if err := llama.Quantize(c.Path(c.Base.File), path, "q8_0"); err != nil {
		return err
	}
	model, err := load(c.WithBase(path), t)
	if err != nil {
		return err
	}
	s := model.System()
	s.Name = "base in Q8_0"
	return errors.Join(r.Compare(ctx, s, sets, was, parallel), model.Close(ctx))
}

// parallel is how many rows are asked at once.
const parallel = 32

func load(c *checkpoint.Checkpoint, t *mapper.Taxonomy) (*mapper.Local, error) {
	o := engine.Default()
	o.Queue = 2 * parallel
	return mapper.NewLocal(c, t, mapper.LocalOptions{Engine: o, Cores: min(runtime.GOMAXPROCS(0), runtime.NumCPU()), GPULayers: -1}, prometheus.NewRegistry())
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
