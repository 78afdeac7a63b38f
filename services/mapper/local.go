package mapper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

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
	id      string
	labels  []string // by answer number
	prompt  *prompt
	model   *llama.Model
	routes  []*route // by falling minWords
	metrics *tracked
}

// route answers findings of at least so many words, with its own adapter.
type route struct {
	minWords int
	adapter  *llama.Adapter
	contexts []*llama.Context
	engine   *engine.Engine
}

var _ Model = (*Local)(nil)

// NewLocal loads a checkpoint and warms it; it answers with the taxonomy's labels. llama.Open must have
// succeeded. Metrics go to reg until Close, with the checkpoint and the adapter as labels.
func NewLocal(c *checkpoint.Checkpoint, t *Taxonomy, o LocalOptions, reg prometheus.Registerer) (_ *Local, err error) {
	if err := t.Answers(&c.Manifest); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", c.ID(), err)
	}
	l := &Local{id: c.ID(), metrics: &tracked{Registerer: reg}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("checkpoint %s: %w", c.ID(), err), l.Close(context.Background()))
		}
	}()
	if l.model, err = llama.LoadModel(c.Path(c.Base.File), llama.ModelOptions{GPULayers: o.GPULayers}); err != nil {
		return nil, err
	}
	task, bad := l.task(c, t)
	e, err := l.evidence(c, t)
	if err := errors.Join(bad, err); err != nil {
		return nil, err
	}
	if l.prompt, err = newPrompt(l.model, c.Prompt, e); err != nil {
		return nil, err
	}
	o.Engine.Prompt = c.Prompt.MaxTokens
	adapters := c.Adapters
	if len(adapters) == 0 {
		adapters = []checkpoint.Adapter{{Name: "none"}}
	}
	o.Engine.Queue = max(1, o.Engine.Queue/len(adapters)) // they share the cores, so together they wait as long as one
	for _, a := range adapters {
		if err := l.start(c, a, task, o); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.routes, func(a, b *route) int { return b.minWords - a.minWords })
	return l, nil
}

// evidence reads the checkpoint's lexicon; nil if it has none.
func (l *Local) evidence(c *checkpoint.Checkpoint, t *Taxonomy) (*evidence, error) {
	if c.Lexicon == nil {
		return nil, nil
	}
	f, err := os.Open(c.Path(*c.Lexicon))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	number := map[string]int{}
	codes := make([]string, len(t.Labels))
	for i, label := range t.Labels {
		number[label.ID], codes[i] = i, c.Codec.Codes[label.ID]
	}
	lexicon, err := readLexicon(f, number)
	if err != nil {
		return nil, err
	}
	return newEvidence(l.model, lexicon, *c.Prompt.Evidence, l.labels, codes)
}

// task compiles the prefix and the legal answers.
func (l *Local) task(c *checkpoint.Checkpoint, t *Taxonomy) (task engine.Task, err error) {
	task.Temperature = c.Calibration.Temperature
	if task.Prefix, err = l.model.Tokenize(c.Prompt.Prefix, true); err != nil {
		return task, err
	}
	var errs []error
	if task.Prefix, err = l.model.Info().Begin(task.Prefix); err != nil {
		errs = append(errs, fmt.Errorf("prompt.prefix %w", err))
	}
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
	return task, errors.Join(errs...)
}

// start adds the route of an adapter; one without a file is the base alone.
func (l *Local) start(c *checkpoint.Checkpoint, a checkpoint.Adapter, task engine.Task, o LocalOptions) (err error) {
	r := &route{minWords: a.MinWords}
	l.routes = append(l.routes, r)
	if a.File.File != "" {
		if r.adapter, err = l.model.LoadAdapter(c.Path(a.File)); err != nil {
			return err
		}
	}
	if a.Temperature > 0 {
		task.Temperature = a.Temperature
	}
	lanes, threads := split(o, l.model.Info().Parameters)
	var models []engine.Model
	for range lanes {
		x, err := l.model.NewContext(o.Engine.Context(task, threads))
		if err != nil {
			return err
		}
		r.contexts = append(r.contexts, x)
		if r.adapter != nil {
			if err := x.SetAdapter(r.adapter, a.Scale); err != nil {
				return err
			}
		}
		models = append(models, x)
	}
	reg := prometheus.WrapRegistererWith(prometheus.Labels{"checkpoint": c.ID(), "adapter": a.Name}, l.metrics)
	if r.engine, err = engine.New(models, task, o.Engine, reg); err != nil {
		return err
	}
	state := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "llm_adapter_state", Help: "1 for an adapter that answers."}, []string{"state"})
	state.WithLabelValues("warm").Set(1)
	return reg.Register(state)
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
	text, words, err := l.prompt.read(finding)
	if err != nil {
		return Answer{}, err
	}
	r := l.route(words)
	if r.engine.Full(ctx) { // refusing must cost less than answering
		return Answer{}, ErrOverloaded
	}
	tokens, err := l.prompt.tokens(detector, text)
	if err != nil {
		return Answer{}, err
	}
	got, err := r.engine.Ask(ctx, tokens)
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
	a := Answer{Label: l.labels[got[0].Answer], Confidence: got[0].P, Version: l.id}
	for _, c := range got {
		a.Candidates = append(a.Candidates, api.Candidate{Label: l.labels[c.Answer], Confidence: c.P})
	}
	return a, nil
}

// route is the one for findings of so many words.
func (l *Local) route(words int) *route {
	for _, r := range l.routes {
		if r.minWords <= words {
			return r
		}
	}
	return l.routes[len(l.routes)-1]
}

// Prompt returns the tokens that Classify puts to the model, after the shared prefix. Measurements use it to
// give the same work to something else.
func (l *Local) Prompt(detector, finding string) ([]llama.Token, error) {
	text, _, err := l.prompt.read(finding)
	if err != nil {
		return nil, err
	}
	return l.prompt.tokens(detector, text)
}

// Lookups returns the labels that plain lookups in the checkpoint's lexicon would give, by name: exact, words
// and trigrams; "" where nothing is shared, nil without a lexicon. Evaluations compare the model with them.
func (l *Local) Lookups(finding string) map[string]string {
	if l.prompt.evidence == nil {
		return nil
	}
	name := func(label int) string {
		if label < 0 {
			return ""
		}
		return l.labels[label]
	}
	exact, words, trigrams := l.prompt.evidence.lexicon.lookups(l.prompt.normalize(finding))
	return map[string]string{"exact": name(exact), "words": name(words), "trigrams": name(trigrams)}
}

// Version is the checkpoint's name and version.
func (l *Local) Version() string { return l.id }

// Answers is that version, whatever the finding.
func (l *Local) Answers(_, _ string) string { return l.id }

// Close answers what was taken, until ctx ends, and frees everything. It may be repeated.
func (l *Local) Close(ctx context.Context) error {
	var errs []error
	for _, r := range l.routes {
		if r.engine != nil {
			errs = append(errs, r.engine.Close(ctx))
		}
	}
	for _, r := range l.routes { // all engines have stopped before anything is freed
		for _, x := range r.contexts {
			errs = append(errs, x.Close())
		}
		if r.adapter != nil {
			errs = append(errs, r.adapter.Close())
		}
	}
	if l.model != nil {
		errs = append(errs, l.model.Close())
	}
	l.metrics.unregister()
	return errors.Join(errs...)
}

// tracked is a registerer that can take back what it has registered.
type tracked struct {
	prometheus.Registerer
	mine []prometheus.Collector
}

func (t *tracked) Register(c prometheus.Collector) error {
	err := t.Registerer.Register(c)
	if err == nil {
		t.mine = append(t.mine, c)
	}
	return err
}

func (t *tracked) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := t.Register(c); err != nil {
			panic(err)
		}
	}
}

func (t *tracked) unregister() {
	for _, c := range t.mine {
		t.Unregister(c)
	}
	t.mine = nil
}
