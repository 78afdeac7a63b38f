package mapper

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// smallModel is the number of parameters below which a lane for each core beats one lane with all cores: the
// threads of one lane wait for each other at every layer (bench: `make bench`, "lanes x threads").
const smallModel = 100_000_000

// LocalOptions says how a checkpoint runs in this process.
type LocalOptions struct {
	Engine    engine.Options
	Lanes     int // decoder contexts; 0 chooses for the model and the machine
	Threads   int // of each lane; 0 chooses
	Cores     int // what there is to choose from
	GPULayers int // layers on the GPU if there is one; negative means all
}

// Local is the Model that runs a checkpoint in this process.
type Local struct {
	id       string
	labels   []string // by answer number
	prompt   *prompt
	engine   *engine.Engine
	model    *llama.Model
	adapter  *llama.Adapter
	contexts []*llama.Context
}

var _ Model = (*Local)(nil)

// NewLocal loads a checkpoint and warms it; it answers with the taxonomy's labels. llama.Open must have
// succeeded. Metrics go to reg.
func NewLocal(c *checkpoint.Checkpoint, t *Taxonomy, o LocalOptions, reg prometheus.Registerer) (_ *Local, err error) {
	if c.Taxonomy != t.Version {
		return nil, fmt.Errorf("checkpoint %s answers with taxonomy %s, this program has %s", c.ID(), c.Taxonomy, t.Version)
	}
	l := &Local{id: c.ID()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("checkpoint %s: %w", c.ID(), err), l.Close(context.Background()))
		}
	}()
	if l.model, err = llama.LoadModel(c.Path(c.Base.File), llama.ModelOptions{GPULayers: o.GPULayers}); err != nil {
		return nil, err
	}
	for _, a := range c.Adapters {
		if l.adapter, err = l.model.LoadAdapter(c.Path(a.File)); err != nil {
			return nil, err
		}
	}
	if l.prompt, err = newPrompt(l.model, c.Prompt); err != nil {
		return nil, err
	}
	task, err := l.task(c, t)
	if err != nil {
		return nil, err
	}
	o.Engine.Prompt = c.Prompt.MaxTokens
	if err := l.start(c, task, o, reg); err != nil {
		return nil, err
	}
	state := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "llm_adapter_state", Help: "1 for the checkpoint that answers."}, []string{"adapter", "state"})
	state.WithLabelValues(l.id, "warm").Set(1)
	return l, reg.Register(state)
}

// task compiles the prefix and the legal answers.
func (l *Local) task(c *checkpoint.Checkpoint, t *Taxonomy) (task engine.Task, err error) {
	task.Temperature = c.Calibration.Temperature
	if task.Prefix, err = l.model.Tokenize(c.Prompt.Prefix, true); err != nil {
		return task, err
	}
	if info := l.model.Info(); info.AddBOS || len(task.Prefix) == 0 {
		task.Prefix = append([]llama.Token{info.BOS}, task.Prefix...)
	}
	var errs []error
	for _, label := range t.Labels {
		text := `{"label":"` + label.ID + `"}`
		if c.Codec.Type == "code" {
			text = c.Codec.Codes[label.ID]
		}
		tokens, err := l.model.Tokenize(text, true)
		if err == nil && c.Codec.Type == "code" && len(tokens) != 1 {
			err = fmt.Errorf("its code %q is %d tokens, not one", text, len(tokens))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("label %s: %w", label.ID, err))
		}
		task.Answers = append(task.Answers, tokens)
		l.labels = append(l.labels, label.ID)
	}
	if c.Codec.Type == "code" && len(c.Codec.Codes) != len(t.Labels) {
		errs = append(errs, fmt.Errorf("codec.codes has %d labels, the taxonomy %d", len(c.Codec.Codes), len(t.Labels)))
	}
	return task, errors.Join(errs...)
}

func (l *Local) start(c *checkpoint.Checkpoint, task engine.Task, o LocalOptions, reg prometheus.Registerer) error {
	lanes, threads := split(o, l.model.Info().Parameters)
	var models []engine.Model
	for range lanes {
		x, err := l.model.NewContext(o.Engine.Context(task, threads))
		if err != nil {
			return err
		}
		l.contexts = append(l.contexts, x)
		if l.adapter != nil {
			if err := x.SetAdapter(l.adapter, c.Adapters[0].Scale); err != nil {
				return err
			}
		}
		models = append(models, x)
	}
	var err error
	l.engine, err = engine.New(models, task, o.Engine, reg)
	return err
}

// split decides lanes and threads where the operator did not.
func split(o LocalOptions, parameters int64) (lanes, threads int) {
	lanes, threads = o.Lanes, o.Threads
	switch {
	case lanes == 0 && threads == 0 && parameters < smallModel:
		return max(1, o.Cores), 1
	case lanes == 0 && threads == 0:
		return 1, max(1, o.Cores)
	case lanes == 0:
		return max(1, o.Cores/threads), threads
	case threads == 0:
		return lanes, max(1, o.Cores/lanes)
	}
	return lanes, threads
}

// Classify asks the model for the label of one finding.
func (l *Local) Classify(ctx context.Context, detector, finding string) (Answer, error) {
	if l.engine.Full() { // refusing must cost less than answering
		return Answer{}, ErrOverloaded
	}
	tokens, err := l.prompt.tokens(detector, finding)
	if err != nil {
		return Answer{}, err
	}
	got, err := l.engine.Ask(ctx, tokens)
	switch {
	case errors.Is(err, engine.ErrBusy):
		return Answer{}, fmt.Errorf("%w: %w", ErrOverloaded, err)
	case errors.Is(err, engine.ErrTooLong):
		return Answer{}, fmt.Errorf("%w: %w", ErrTooLong, err)
	case errors.Is(err, engine.ErrClosed):
		return Answer{}, fmt.Errorf("%w: %w", ErrClosing, err)
	case err != nil:
		return Answer{}, err
	}
	a := Answer{Label: l.labels[got[0].Answer], Confidence: got[0].P}
	for _, c := range got {
		a.Candidates = append(a.Candidates, api.Candidate{Label: l.labels[c.Answer], Confidence: c.P})
	}
	return a, nil
}

// Prompt returns the tokens that Classify puts to the model, after the shared prefix. Measurements use it to
// give the same work to something else.
func (l *Local) Prompt(detector, finding string) ([]llama.Token, error) {
	return l.prompt.tokens(detector, finding)
}

// Version is the checkpoint's name and version.
func (l *Local) Version() string { return l.id }

// Close answers what was taken, until ctx ends, and frees everything. It may be repeated.
func (l *Local) Close(ctx context.Context) error {
	var errs []error
	if l.engine != nil {
		errs = append(errs, l.engine.Close(ctx))
	}
	for _, x := range l.contexts {
		errs = append(errs, x.Close())
	}
	if l.adapter != nil {
		errs = append(errs, l.adapter.Close())
	}
	if l.model != nil {
		errs = append(errs, l.model.Close())
	}
	return errors.Join(errs...)
}
