// Package guard serves models that judge content, such as Llama Guard, in the form of OpenAI's chat completions. A verdict is
// one of a few hundred texts, so it is multiple choice like a mapping: the engine walks them as a trie of tokens, nothing is
// sampled, and the softmax at the branches is the verdict's probability.
package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

// maxSlots bounds the conversations that are decoded together. Each has cells for the longest one, and a long prompt fills
// the batches by itself, so more would cost memory and gain little.
const maxSlots = 4

// errRole says that the guard has no name for a role.
var errRole = errors.New("the guard does not judge what an assistant says")

// Options says how a guard runs in this process.
type Options struct {
	Engine    engine.Options
	Threads   int
	GPULayers int // layers on the GPU if there is one; negative means all
}

// Guard is a model that judges. Its methods may be called from any goroutine.
type Guard struct {
	checkpoint *checkpoint.Checkpoint
	loaded     time.Time
	weights    weights
	suffix     []llama.Token
	verdicts   []verdict
	judges     map[string]*judge // by the role of the message that they judge
}

// weights are what a guard needs of a model file: file, or a test's.
type weights interface {
	Tokenize(text string, special bool) ([]llama.Token, error)
	Info() llama.ModelInfo
	open(llama.ContextOptions) (decoder, error)
	Close() error
}

// decoder is a context that is freed at the end.
type decoder interface {
	engine.Model
	Close() error
}

type file struct{ *llama.Model }

func (f file) open(o llama.ContextOptions) (decoder, error) { return f.NewContext(o) }

// verdict is an answer of the model's.
type verdict struct {
	text   string
	tokens int // with the one that ends it
}

// judge judges messages of one role, which the prefix names: so it has a prefix, and a decoder, of its own.
type judge struct {
	role    string // in the model's words
	prefix  int    // tokens
	decoder decoder
	engine  *engine.Engine
}

// Load loads a guard and decodes its prefixes. llama.Open must have succeeded. Metrics go to reg, with the checkpoint and
// the role as adapter.
func Load(c *checkpoint.Checkpoint, o Options, reg prometheus.Registerer) (*Guard, error) {
	if !c.IsGuard() {
		return nil, fmt.Errorf("checkpoint %s: it maps findings (codec.type %s) and is no guard; name it in model.model_path", c.ID(), c.Codec.Type)
	}
	model, err := llama.LoadModel(c.Path(c.Base.File), llama.ModelOptions{GPULayers: o.GPULayers})
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", c.ID(), err)
	}
	return newGuard(c, file{model}, o, reg)
}

// newGuard makes a guard that owns the weights.
func newGuard(c *checkpoint.Checkpoint, w weights, o Options, reg prometheus.Registerer) (_ *Guard, err error) {
	g := &Guard{checkpoint: c, loaded: time.Now(), weights: w, judges: map[string]*judge{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("checkpoint %s: %w", c.ID(), err), g.Close(context.Background()))
		}
	}()
	if g.suffix, err = w.Tokenize(c.Prompt.Guard.Suffix, true); err != nil {
		return nil, err
	}
	task := engine.Task{Temperature: c.Calibration.Temperature}
	for _, text := range c.Codec.Verdict.Texts() {
		tokens, err := w.Tokenize(text+c.Codec.Verdict.End, true)
		if err != nil {
			return nil, err
		}
		task.Answers = append(task.Answers, tokens)
		g.verdicts = append(g.verdicts, verdict{text, len(tokens)})
	}
	o.Engine.Prompt, o.Engine.Slots = c.Prompt.MaxTokens, min(o.Engine.Slots, maxSlots)
	for role := range c.Prompt.Guard.Roles {
		if err := g.start(role, task, o, prometheus.WrapRegistererWith(prometheus.Labels{"checkpoint": c.ID(), "adapter": role}, reg)); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// start adds the judge of a role.
func (g *Guard) start(role string, task engine.Task, o Options, reg prometheus.Registerer) (err error) {
	j := &judge{role: g.checkpoint.Prompt.Guard.Roles[role]}
	g.judges[role] = j
	if task.Prefix, err = g.weights.Tokenize(strings.ReplaceAll(g.checkpoint.Prompt.Prefix, "{role}", j.role), true); err != nil {
		return err
	}
	if task.Prefix, err = g.weights.Info().Begin(task.Prefix); err != nil {
		return fmt.Errorf("prompt.prefix %w", err)
	}
	j.prefix = len(task.Prefix)
	decoder, err := g.weights.open(o.Engine.Context(task, o.Threads))
	if err != nil {
		return err
	}
	j.decoder = decoder
	j.engine, err = engine.New([]engine.Model{decoder}, task, o.Engine, reg)
	return err
}

// Judgment is a verdict on a conversation.
type Judgment struct {
	Text       string  // in the model's words: safe, or unsafe with the categories on a second line
	Confidence float64 // the model's probability of exactly this verdict, 0 to 1
	Prompt     int     // tokens that were read, the prefix included
	Answer     int     // tokens of the verdict
}

// Judge judges the last message of a conversation. It returns errRole, the engine's errors, or ctx's, which must have a
// deadline.
func (g *Guard) Judge(ctx context.Context, conversation []api.ChatMessage) (Judgment, error) {
	j := g.judges[conversation[len(conversation)-1].Role]
	if j == nil {
		return Judgment{}, errRole
	}
	if j.engine.Full(ctx) { // refusing must cost less than answering
		return Judgment{}, engine.ErrBusy
	}
	prompt, err := g.prompt(j.role, conversation)
	if err != nil {
		return Judgment{}, err
	}
	got, err := j.engine.Ask(ctx, prompt)
	if err != nil {
		return Judgment{}, err
	}
	v := g.verdicts[got[0].Answer]
	return Judgment{Text: v.text, Confidence: got[0].P, Prompt: j.prefix + len(prompt), Answer: v.tokens}, nil
}

// prompt makes the tokens that follow the prefix. What messages say is tokenised with the plain text around it, as the model
// has seen it in training, and without special tokens: no message can bring one in.
func (g *Guard) prompt(judged string, conversation []api.ChatMessage) ([]llama.Token, error) {
	turns := make([]string, len(conversation))
	for i, m := range conversation {
		role, named := g.checkpoint.Prompt.Guard.Roles[m.Role]
		if !named {
			return nil, errRole
		}
		turns[i] = role + ": " + m.Content
	}
	text := strings.NewReplacer("{role}", judged, "{conversation}", strings.Join(turns, "\n\n")).Replace(g.checkpoint.Prompt.Template)
	tokens, err := g.weights.Tokenize(text, false)
	return append(tokens, g.suffix...), err
}

// Name is what requests name the guard by.
func (g *Guard) Name() string { return g.checkpoint.Name }

// ID is the checkpoint's name and version.
func (g *Guard) ID() string { return g.checkpoint.ID() }

// Verdicts is how many different ones there are.
func (g *Guard) Verdicts() int { return len(g.verdicts) }

// Close answers what was taken, until ctx ends, and frees everything. It may be repeated.
func (g *Guard) Close(ctx context.Context) error {
	var errs []error
	for _, j := range g.judges {
		if j.engine != nil {
			errs = append(errs, j.engine.Close(ctx))
		}
		if j.decoder != nil {
			errs = append(errs, j.decoder.Close())
		}
	}
	return errors.Join(append(errs, g.weights.Close())...)
}
