package main

import (
	"bytes"
	"compress/gzip"
	"context"
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

// remote is a mapper to ask over HTTP.
type remote struct{ url, key string }

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
			if m.key == "" {
				return errors.New("there is no key; give --key, or set LLAMA_KEY")
			}
			ctx := c.Context()
			switch {
			case m.job != "" && len(args) == 0:
				return m.follow(ctx, c)
			case len(args) == 0:
				return errors.New("what to map? a file, - for standard input, or --detector and a label")
			case m.detector != "":
				return m.one(ctx, c.OutOrStdout(), args[0])
			}
			if err := m.upload(ctx, c, args[0]); err != nil {
				return err
			}
			return m.follow(ctx, c)
		},
	}
	c.Flags().StringVar(&m.url, "url", "http://127.0.0.1:8000", "where the mapper is")
	c.Flags().StringVar(&m.key, "key", "", "an API key with the scope map; better in the environment, as LLAMA_KEY")
	c.Flags().StringVar(&m.detector, "detector", "", "map the argument as a label of this detector")
	c.Flags().StringVar(&m.out, "out", "", "file for the result; standard output where it is not set")
	c.Flags().StringVar(&m.job, "job", "", "go on with a job that was made before")
	c.Flags().BoolVar(&m.view.ModelOnly, "model-only", false, "ask the model, and no override, table or cache")
	c.Flags().BoolVar(&m.view.Controls, "controls", false, "answer with the controls that the labels concern, too")
	c.Flags().StringVar(&m.view.Taxonomy, "taxonomy", "", "answer in the labels of this version of the taxonomy, which may be the one before")
	for _, view := range []string{"model-only", "controls", "taxonomy"} {
		c.MarkFlagsMutuallyExclusive("job", view) // a job has the view that it was made with
	}
	return c
}

// do sends a request. Its response is a success, and its body is the caller's to close.
func (r remote) do(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.url, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", r.key)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode < 300 {
		return res, err
	}
	defer res.Body.Close()
	var e api.Error
	if raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil || json.Unmarshal(raw, &e) != nil || e.Code == "" {
		return nil, fmt.Errorf("%s answered %s", r.url, res.Status)
	}
	return nil, &e
}

// get sends a request and reads the JSON that comes back.
func (r remote) get(ctx context.Context, method, path string, body io.Reader, into any, headers ...string) error {
	res, err := r.do(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(into)
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

// upload makes a job of a file, compressed on the way.
func (m *mapping) upload(ctx context.Context, c *cobra.Command, name string) error {
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
	var j api.Job
	err := m.get(ctx, http.MethodPost, "/api/v1/jobs"+m.view.Query(), from, &j, "Content-Encoding", "gzip", "Content-Type", "application/x-ndjson")
	from.CloseWithError(io.ErrClosedPipe) // the other end stops, if it has not
	if err == nil {
		m.job = j.ID
		fmt.Fprintf(c.ErrOrStderr(), "job %s: %d lines\n", j.ID, j.Lines)
	}
	return err
}

// follow waits for a job's end and writes its result.
func (m *mapping) follow(ctx context.Context, c *cobra.Command) error {
	show := newProgress(c.ErrOrStderr())
	for {
		var j api.Job
		if err := m.get(ctx, http.MethodGet, "/api/v1/jobs/"+m.job, nil, &j); err != nil {
			var e *api.Error
			if ctx.Err() != nil {
				return fmt.Errorf("the job goes on; `mapperctl map --job %s` waits for it", m.job)
			}
			if errors.As(err, &e) && !e.Retryable {
				return err
			}
			show.note("waiting: " + err.Error())
		}
		if j.ID != "" {
			show.job(j)
		}
		switch j.State {
		case api.JobDone:
			show.end()
			return m.download(ctx, c)
		case api.JobCancelled:
			return errors.New("the job was cancelled")
		}
		select {
		case <-ctx.Done():
		case <-time.After(show.every):
		}
	}
}

func (m *mapping) download(ctx context.Context, c *cobra.Command) error {
	res, err := m.do(ctx, http.MethodGet, "/api/v1/jobs/"+m.job+"/result", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	out := c.OutOrStdout()
	if m.out != "" {
		f, err := os.Create(m.out)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, res.Body)
		return errors.Join(err, f.Close())
	}
	_, err = io.Copy(out, res.Body)
	return err
}
