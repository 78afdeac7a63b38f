package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/api"
)

// mapping is what the command map was told.
type mapping struct {
	remote
	view               api.View
	detector, out, job string
}

func mapCommand() *cobra.Command {
	var m mapping
	c := &cobra.Command{
		Use:   "map FILE | map --detector NAME LABEL | map --job ID",
		Short: "map a file of requests, a JSON object a line, or a single label, with a mapper that runs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if m.key == "" {
				m.key = os.Getenv("LLAMA_KEY")
			}
			if m.patience < time.Millisecond {
				return errors.New("--timeout must be a millisecond or more")
			}
			if m.key == "" {
				return errors.New("there is no key; give --key, or set LLAMA_KEY")
			}
			ctx, show := c.Context(), newProgress(c.ErrOrStderr())
			switch {
			case m.job != "" && len(args) == 0:
				return m.follow(ctx, c, show)
			case len(args) == 0:
				return errors.New("what to map? a file, - for standard input, or --detector and a label")
			case m.detector != "":
				return m.one(ctx, c.OutOrStdout(), args[0])
			}
			if err := m.upload(ctx, c, show, args[0]); err != nil {
				return err
			}
			return m.follow(ctx, c, show)
		},
	}
	c.Flags().StringVar(&m.url, "url", "http://127.0.0.1:8000", "where the mapper is")
	c.Flags().StringVar(&m.key, "key", "", "an API key with the scope map; better in the environment, as LLAMA_KEY")
	c.Flags().StringVar(&m.detector, "detector", "", "map the argument as a label of this detector")
	c.Flags().StringVar(&m.out, "out", "", "file for the result; standard output where it is not set")
	c.Flags().StringVar(&m.job, "job", "", "go on with a job that was made before")
	c.Flags().DurationVar(&m.patience, "timeout", 30*time.Second, "how long the mapper may keep it waiting; then it asks again, some times")
	c.Flags().BoolVar(&m.view.ModelOnly, "model-only", false, "ask the model, and no override, table or cache")
	c.Flags().BoolVar(&m.view.Controls, "controls", false, "answer with the controls that the labels concern, too")
	c.Flags().StringVar(&m.view.Taxonomy, "taxonomy", "", "answer in the labels of this version of the taxonomy, which may be the one before")
	for _, view := range []string{"model-only", "controls", "taxonomy"} {
		c.MarkFlagsMutuallyExclusive("job", view) // a job has the view that it was made with
	}
	return c
}

// one maps a label and says what it is.
func (m *mapping) one(ctx context.Context, w io.Writer, label string) error {
	body, err := json.Marshal(map[string]string{"detector": m.detector, "output": label})
	if err != nil {
		return err
	}
	var a api.Mapping
	if err := m.get(ctx, http.MethodPost, "/api/v1/map"+m.view.Query(), bytes.NewReader(body), &a); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\t%.1f %%, %s\n", strings.Join(a.Taxonomy, " "), 100*a.Confidence, a.Source)
	for _, c := range a.Candidates {
		fmt.Fprintf(w, "  perhaps %s\t%.1f %%\n", c.Label, 100*c.Confidence)
	}
	for _, control := range a.Controls {
		fmt.Fprintln(w, "  concerns", control)
	}
	return nil
}

// upload makes a job of a file, compressed on the way. Sent again it is the same job; standard input is sent once.
func (m *mapping) upload(ctx context.Context, c *cobra.Command, show *progress, name string) error {
	var j api.Job
	once := rand.Text()
	send := func() error {
		in := io.NopCloser(c.InOrStdin())
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			in = f
		}
		defer in.Close()
		from, to := io.Pipe()
		go func() {
			z := gzip.NewWriter(to)
			_, err := io.Copy(z, in)
			to.CloseWithError(errors.Join(err, z.Close()))
		}()
		defer from.CloseWithError(io.ErrClosedPipe) // the other end stops, if it has not
		return m.get(ctx, http.MethodPost, "/api/v1/jobs"+m.view.Query(), from, &j,
			"Content-Encoding", "gzip", "Content-Type", "application/x-ndjson", "Idempotency-Key", once)
	}
	var err error
	if name == "-" {
		err = send()
	} else {
		err = m.persist(ctx, show.note, send)
	}
	if err == nil {
		m.job = j.ID
		fmt.Fprintf(c.ErrOrStderr(), "job %s: %d lines\n", j.ID, j.Lines)
	}
	return err
}

// follow waits for a job's end and writes its result.
func (m *mapping) follow(ctx context.Context, c *cobra.Command, show *progress) error {
	defer show.end()
	for {
		var j api.Job
		if err := m.persist(ctx, show.note, func() error { return m.get(ctx, http.MethodGet, "/api/v1/jobs/"+m.job, nil, &j) }); err != nil {
			return m.later(err)
		}
		show.job(j)
		switch j.State {
		case api.JobDone:
			return m.later(m.download(ctx, c, show))
		case api.JobCancelled:
			return errors.New("the job was cancelled")
		}
		select {
		case <-ctx.Done():
		case <-time.After(show.every):
		}
	}
}

// later says how to go on after an error that is not the server's last word.
func (m *mapping) later(err error) error {
	var refused *api.Error
	if err == nil || errors.As(err, &refused) && !refused.Retryable {
		return err
	}
	return fmt.Errorf("%w; the job goes on, and `mapperctl map --job %s` waits for it", err, m.job)
}

// download writes a job's result: into a file from its beginning after each failure, and to standard output once.
func (m *mapping) download(ctx context.Context, c *cobra.Command, show *progress) error {
	if m.out == "" {
		return m.result(ctx, c.OutOrStdout())
	}
	return m.persist(ctx, show.note, func() error {
		f, err := os.Create(m.out)
		if err != nil {
			return err
		}
		return errors.Join(m.result(ctx, f), f.Close())
	})
}

func (m *mapping) result(ctx context.Context, w io.Writer) error {
	res, err := m.do(ctx, http.MethodGet, "/api/v1/jobs/"+m.job+"/result", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	return err
}
