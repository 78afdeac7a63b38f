package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/remap"
	"github.com/llama-mapper/llama-mapper/services/review"
)

// remapping is what the command remap was told.
type remapping struct {
	settings
	tables, export, out string
}

func remapCommand() *cobra.Command {
	var r remapping
	c := &cobra.Command{
		Use:   "remap TENANT",
		Short: "say what a tenant's history would be called with today's taxonomy, tables and overrides; changes nothing",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			k, err := mapper.LoadKnowledge()
			if err == nil && r.tables != "" {
				k.Tables, err = mapper.ParseTables(os.DirFS(r.tables), k.Taxonomy)
			}
			if err == nil && len(k.Tables) == 0 {
				err = fmt.Errorf("%s has no tables, which are files that end in .yaml", r.tables)
			}
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if r.out != "" {
				f, err := os.Create(r.out)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				out = f
			}
			return r.withFeed(c.Context(), "mapper", args[0], func(feed *audit.Feed, t *access.Tenant) error {
				return r.run(c, feed, t, k, out)
			})
		},
	}
	r.flag(c)
	c.Flags().StringVar(&r.tables, "tables", "", "directory of tables to look labels up in; without it, those that ship")
	c.Flags().StringVar(&r.export, "export", "", "file that `mapperctl audit export` has written; without it, the events in Postgres")
	c.Flags().StringVar(&r.out, "out", "", "file for the findings that change, a JSON object a line; without it, standard output")
	return c
}

// run writes the changes to out and the counts to standard error.
func (r *remapping) run(c *cobra.Command, feed *audit.Feed, t *access.Tenant, k mapper.Knowledge, out io.Writer) error {
	ctx := c.Context()
	_, pool, err := r.pool("mapper")
	if err != nil {
		return err
	}
	defer pool.Close()
	overrides := review.NewOverrides(pool, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err := overrides.Follow(ctx); err != nil {
		return err
	}
	h := remap.New(k, overrides, t)
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	err = r.lines(ctx, feed, t, func(l audit.Line) error {
		if l.Event == nil {
			return nil
		}
		changes, err := h.Event(l.Seq, l.Event)
		for _, change := range changes {
			err = errors.Join(err, enc.Encode(change))
		}
		return err
	})
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	n := h.Counts
	fmt.Fprintf(c.ErrOrStderr(), "%d mappings; findings: %d unchanged, %d changed; cannot tell: %d of the model's, %d of rows or overrides that are no more\n",
		n.Events, n.Unchanged, n.Changed, n.Model, n.Gone)
	return nil
}

// lines reads events from where they are.
func (r *remapping) lines(ctx context.Context, feed *audit.Feed, t *access.Tenant, emit func(audit.Line) error) error {
	if r.export == "" {
		return feed.Export(ctx, t, emit)
	}
	f, err := os.Open(r.export)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var l audit.Line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s is no export: %w", r.export, err)
		case l.Tenant != t.ID:
			return fmt.Errorf("%s is an export of another tenant than %s", r.export, t.ID)
		}
		if err := emit(l); err != nil {
			return err
		}
	}
}
