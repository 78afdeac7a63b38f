package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/guard"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

// defaultStore is where versions are kept if nothing else is said.
const defaultStore = ".run/checkpoints"

func checkpointCommand() *cobra.Command {
	c := &cobra.Command{Use: "checkpoint", Short: "measure, check and change checkpoints"}
	var store string
	c.PersistentFlags().StringVar(&store, "store", defaultStore, "the directory with the versions; model.model_path of the service")
	c.AddCommand(evalCommand(), verifyCommand(), sealCommand(), quantiseCommand(), listCommand(&store), historyCommand(&store),
		changeCommand(&store, "activate DIR|VERSION", "let a checkpoint, or a version of the store, answer all requests", cobra.ExactArgs(1)),
		changeCommand(&store, "rollback", "go back to the version that was active before", cobra.NoArgs),
		changeCommand(&store, "canary DIR|VERSION", "let a checkpoint answer a share of the requests; --percent 0 ends it", cobra.MaximumNArgs(1)))
	return c
}

func listCommand(store *string) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "show the versions of the store, verified", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		s, err := checkpoint.OpenStore(*store)
		if err != nil {
			return err
		}
		versions, err := s.List()
		if err != nil {
			return err
		}
		for _, v := range versions {
			state := "fine"
			switch {
			case v.Error != nil:
				state = v.Error.Error()
			case v.Active:
				state = "active"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\t%s\n", v.ID, state)
		}
		return nil
	}}
}

func historyCommand(store *string) *cobra.Command {
	return &cobra.Command{Use: "history", Short: "show what was activated when", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		s, err := checkpoint.OpenStore(*store)
		if err != nil {
			return err
		}
		history, err := s.History()
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
		for _, e := range history {
			what := "done"
			if e.Error != "" {
				what = "refused: " + e.Error
			}
			fmt.Fprintf(t, "%s\t%s\t%s\tbefore: %s\t%s\n", e.Time.Format(time.RFC3339), e.Action, e.Version, e.Previous, what)
		}
		return t.Flush()
	}}
}

func changeCommand(store *string, use, short string, args cobra.PositionalArgs) *cobra.Command {
	command := control.Command{}
	c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
		command.Action = c.Name()
		if len(args) > 0 {
			if err := name(&command, args[0]); err != nil {
				return err
			}
		}
		return change(c.Context(), c.OutOrStdout(), *store, command)
	}}
	c.Flags().Float64Var(&command.Margin, "margin", mapper.DefaultMargin, "how far its share of right answers may be below the active version's")
	if c.Name() == "canary" {
		c.Flags().IntVar(&command.Percent, "percent", 5, "of the requests, 1 to 99; 0 ends it")
	}
	return c
}

// name tells a directory from a version of the store.
func name(c *control.Command, arg string) error {
	if checkpoint.IsID(arg) {
		c.Version = arg
		return nil
	}
	dir, err := filepath.Abs(arg)
	c.Dir = dir
	return err
}

// change asks the service that runs on the store, or does it here where none runs.
func change(ctx context.Context, stdout io.Writer, dir string, c control.Command) error {
	reply, err := control.Send(ctx, filepath.Join(dir, control.Socket), c)
	where := "the running service has changed"
	if errors.Is(err, control.ErrNobody) {
		if c.Action == "canary" {
			return err
		}
		where = "no service runs on it; the next start takes it"
		reply, err = changeHere(ctx, dir, c)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "active: %s (%s)\n", reply.Active, where)
	if reply.Canary != "" {
		fmt.Fprintf(stdout, "canary: %s for %d %% of the requests\n", reply.Canary, reply.Percent)
	}
	return nil
}

func changeHere(ctx context.Context, dir string, c control.Command) (control.Reply, error) {
	s, err := checkpoint.OpenStore(dir)
	if err != nil {
		return control.Reply{}, err
	}
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return control.Reply{}, err
	}
	if err := llama.Open(""); err != nil {
		return control.Reply{}, err
	}
	v, err := mapper.NewVersions(s, func(c *checkpoint.Checkpoint) (*mapper.Local, error) { return load(c, taxonomy) })
	if err != nil {
		return control.Reply{}, err
	}
	err = v.Do(ctx, c)
	now := v.Status()
	return control.Reply{Active: now.Active}, errors.Join(err, v.Close(ctx))
}

func verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify DIR", Short: "say what is wrong with a checkpoint, if anything", Args: cobra.ExactArgs(1),
		Long: "Checks the manifest, every file's hash, the headers of the GGUF files, that the adapters fit the base, that every\n" +
			"code is one token, the taxonomy's version and the lexicon, and asks the golden rows. Of a guard, that it loads.",
		RunE: func(c *cobra.Command, args []string) error { return verify(c.Context(), c.OutOrStdout(), args[0]) },
	}
}

func verify(ctx context.Context, stdout io.Writer, dir string) error {
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return err
	}
	c, err := checkpoint.Open(dir)
	if m, unread := checkpoint.Read(dir); (m.Schema != 0 || unread == nil) && !m.IsGuard() { // else Open has said that there is none
		err = errors.Join(err, taxonomy.Answers(&m))
	}
	if err != nil {
		return err
	}
	if err := llama.Open(""); err != nil {
		return err
	}
	if c.IsGuard() {
		return verifyGuard(ctx, stdout, c)
	}
	model, err := load(c, taxonomy)
	if err != nil {
		return err
	}
	if err := errors.Join(mapper.Gate{}.Check(ctx, c, model, nil), model.Close(ctx)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d files verified, loads, and answers its golden rows\n", c.ID(), len(c.Files()))
	return nil
}

func verifyGuard(ctx context.Context, stdout io.Writer, c *checkpoint.Checkpoint) error {
	g, err := guard.Load(c, guard.Options{Engine: engine.Default(), Threads: runtime.NumCPU(), GPULayers: -1}, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	if err := g.Close(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d file verified, loads, and has %d verdicts\n", c.ID(), len(c.Files()), g.Verdicts())
	return nil
}
