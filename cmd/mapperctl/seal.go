package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

func sealCommand() *cobra.Command {
	return &cobra.Command{
		Use: "seal DIR", Short: "write the hashes and sizes of a checkpoint's files into its manifest", Args: cobra.ExactArgs(1),
		Long: "Fills sha256 and bytes of the base, the adapters, the lexicon and the golden rows in DIR/manifest.yaml, whose comments\n" +
			"stay. Run verify afterwards.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkpoint.Seal(args[0], nil); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: sealed\n", args[0])
			return nil
		},
	}
}

func quantiseCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use: "quantise DIR TO", Short: "make a checkpoint with smaller weights of another one", Args: cobra.ExactArgs(2),
		Long: "Copies DIR to TO, which must not exist, with the base's weights quantised, the golden rows answered anew, and the\n" +
			"type behind the version. Compare both with eval before it serves.",
		RunE: func(c *cobra.Command, args []string) error {
			return quantise(c.Context(), c.OutOrStdout(), args[0], args[1], kind)
		},
	}
	c.Flags().StringVar(&kind, "type", "q8_0", "one of "+strings.Join(llama.Quantisations(), ", "))
	return c
}

func quantise(ctx context.Context, stdout io.Writer, from, to, kind string) error {
	c, err := checkpoint.Open(from)
	if err != nil {
		return err
	}
	if err := llama.Open(""); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o750); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	base := "base-" + kind + ".gguf"
	if err := llama.Quantize(c.Path(c.Base.File), filepath.Join(to, base), kind); err != nil {
		return err
	}
	err = checkpoint.Seal(to, func(manifest *yaml.Node) error {
		checkpoint.SetField(manifest, "version", c.Version+"-"+kind, "!!str")
		checkpoint.SetField(checkpoint.Field(manifest, "base"), "file", base, "!!str")
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(to, c.Base.File.File)); err != nil {
		return err
	}
	if err := answerAnew(ctx, to); err != nil {
		return err
	}
	return verify(ctx, stdout, to)
}

// answerAnew gives a checkpoint's golden rows the answers of its own weights.
func answerAnew(ctx context.Context, dir string) error {
	c, err := checkpoint.Open(dir)
	if err != nil || c.Golden == nil {
		return err
	}
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return err
	}
	model, err := load(c, taxonomy)
	if err != nil {
		return err
	}
	rows, err := model.Golden(ctx, c)
	if err := errors.Join(err, model.Close(ctx)); err != nil {
		return err
	}
	if err := os.WriteFile(c.Path(*c.Golden), rows, 0o600); err != nil {
		return err
	}
	return checkpoint.Seal(dir, nil)
}
