// Package checkpoint reads what a model ships as: a directory with a manifest.yaml that names its files, how
// to ask it, and how well it does. Nothing is used that does not have the SHA-256 the manifest says.
package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Schema is the manifest format this package reads.
const Schema = 2

// maxAdapters bounds the adapters; each has decoder contexts of its own.
const maxAdapters = 4

// howToSeal ends messages about hashes.
const howToSeal = "`mapperctl checkpoint seal` writes both"

// maxManifest bounds the manifest; the largest part of one is its label codes.
const maxManifest = 1 << 20

// File is one file of a checkpoint.
type File struct {
	File   string `yaml:"file"` // a name in the checkpoint's directory
	SHA256 string `yaml:"sha256"`
	Bytes  int64  `yaml:"bytes"`
}

// Base is the file with the weights.
type Base struct {
	File       `yaml:",inline"`
	Parameters int64 `yaml:"parameters"`
}

// Adapter is a LoRA adapter for the base. A finding goes to the one with the highest MinWords that it reaches.
type Adapter struct {
	Name        string `yaml:"name"`
	File        `yaml:",inline"`
	Scale       float32 `yaml:"scale"`
	MinWords    int     `yaml:"min_words"`   // of the findings that it answers; one adapter has 0
	Temperature float64 `yaml:"temperature"` // its own calibration; 0 takes the checkpoint's
}

// Kind says which detectors are of a kind: those whose name in lower case contains one of the words.
type Kind struct {
	Kind  string   `yaml:"kind"` // the text that stands for {kind} in the template
	Match []string `yaml:"match"`
}

// Evidence is what the lexicon's nearest entries add to a prompt.
type Evidence struct {
	Labels int    `yaml:"labels"` // how many different ones, 1 to 16
	Item   string `yaml:"item"`   // for each: {code} of the label, {label}, {entry} that is near, {grade}: three digits, {percent}
	// Spelling says that words which neither the lexicon nor the vocabulary has are searched as the lexicon's word
	// that was probably meant. Off is how checkpoints before 2026.11.3 were trained.
	Spelling bool `yaml:"spelling"`
}

// Prompt says how a finding becomes a prompt, or a conversation, for a guard.
type Prompt struct {
	Normalize   string    `yaml:"normalize"` // words or none
	Prefix      string    `yaml:"prefix"`    // the same for every request, decoded once
	Template    string    `yaml:"template"`  // with {finding}; {kind} and {evidence} where they are to stand; a guard's is other, see guard.go
	MaxTokens   int       `yaml:"max_tokens"`
	Evidence    *Evidence `yaml:"evidence"`
	DefaultKind string    `yaml:"default_kind"`
	Kinds       []Kind    `yaml:"kinds"` // the first that matches counts

	Guard GuardPrompt `yaml:",inline"`
}

// Codec says what the model answers: type code, one token for each label; type json, {"label":"..."}; or type verdict, what
// a guard says.
type Codec struct {
	Type    string            `yaml:"type"`
	Codes   map[string]string `yaml:"codes"` // label to the text of its token, for type code
	Verdict Verdict           `yaml:",inline"`
}

// Calibration turns the model's softmax into a probability that is right as often as it says.
type Calibration struct {
	Method      string  `yaml:"method"` // temperature
	Temperature float64 `yaml:"temperature"`
	ECE         float64 `yaml:"ece"` // expected calibration error on the set it was fitted on
	FittedOn    string  `yaml:"fitted_on"`
}

// Evaluation is the figures of one set of labels, as shares of its n rows; it informs, nothing reads it.
type Evaluation struct {
	Set      string  `yaml:"set"`
	N        int     `yaml:"n"`
	Top1     float64 `yaml:"top1"`
	Top3     float64 `yaml:"top3"`
	ECE      float64 `yaml:"ece"`
	Exact    float64 `yaml:"exact"`    // right by equal lexicon entry
	Words    float64 `yaml:"words"`    // by the entry with the nearest words
	Trigrams float64 `yaml:"trigrams"` // by the entry with the nearest letters
	McNemar  float64 `yaml:"mcnemar"`  // probability that model and best lookup differ by chance
}

// Training says how the checkpoint was made; it informs, nothing reads it.
type Training struct {
	Seed        int     `yaml:"seed"`
	Seeds       []int   `yaml:"seeds,omitempty"` // of the runs whose mean it is
	Start       *Start  `yaml:"start,omitempty"` // the checkpoint whose base training went on from; none if from nothing
	Steps       int     `yaml:"steps"`           // of all runs
	WallSeconds float64 `yaml:"wall_seconds"`    // of all stages, also those that ran at the same time
	Command     string  `yaml:"command"`
	Torch       string  `yaml:"torch"`
}

// Start is a checkpoint that another one goes on from.
type Start struct {
	Version string `yaml:"version"`
	SHA256  string `yaml:"sha256"` // of its base
}

// Data is a training input with its hash.
type Data struct {
	File   string `yaml:"file"`
	SHA256 string `yaml:"sha256"`
}

// Manifest is the content of manifest.yaml.
type Manifest struct {
	Schema      int          `yaml:"schema"`
	Name        string       `yaml:"name"`
	Version     string       `yaml:"version"`
	Description string       `yaml:"description"`
	License     string       `yaml:"license"`
	Taxonomy    string       `yaml:"taxonomy"` // the version whose labels it answers with; none for a guard
	Base        Base         `yaml:"base"`
	Adapters    []Adapter    `yaml:"adapters"`
	Lexicon     *File        `yaml:"lexicon"` // lines of normalised words, a tab, a label
	Golden      *File        `yaml:"golden"`  // findings with the answers that the files give, JSON lines; the gate asks them
	Prompt      Prompt       `yaml:"prompt"`
	Codec       Codec        `yaml:"codec"`
	Calibration Calibration  `yaml:"calibration"`
	Evaluation  []Evaluation `yaml:"evaluation"`
	Training    Training     `yaml:"training"`
	Data        []Data       `yaml:"data"`
}

// Checkpoint is a directory whose files have been verified.
type Checkpoint struct {
	Manifest
	dir string
}

// Open reads a checkpoint's manifest and verifies every file it names. The error lists every mistake.
func Open(dir string) (*Checkpoint, error) {
	m, err := Read(dir)
	errs := []error{err}
	for _, f := range m.Files() {
		if fileName.MatchString(f.File) { // else Read has said so
			errs = append(errs, verify(dir, f))
		}
	}
	c := &Checkpoint{Manifest: m, dir: dir}
	errs = append(errs, c.headers())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return c, nil
}

// Read reads a checkpoint's manifest and looks at no other file. With an error, the manifest has what could be read.
func Read(dir string) (Manifest, error) {
	f, err := os.Open(filepath.Join(dir, "manifest.yaml"))
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest.yaml: %w", err)
	}
	m, err := parse(raw)
	if err != nil {
		return m, fmt.Errorf("manifest.yaml: %w", err)
	}
	return m, nil
}

// headers checks the GGUF files that are there, before llama.cpp sees them.
func (c *Checkpoint) headers() error {
	base, err := c.header(c.Base.File)
	if err == nil && base != nil {
		if err = base.model(); err != nil {
			err = fmt.Errorf("%s: %w", c.Base.File.File, err)
		}
	}
	errs := []error{err}
	for _, a := range c.Adapters {
		h, err := c.header(a.File)
		if err == nil && h != nil && base != nil {
			if err = h.adapts(base); err != nil {
				err = fmt.Errorf("%s: %w", a.File.File, err)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// header is nil for a file that is not there.
func (c *Checkpoint) header(f File) (*header, error) {
	if !fileName.MatchString(f.File) {
		return nil, nil
	}
	h, err := readHeader(c.Path(f))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.File, err)
	}
	return h, nil
}

// Files are all that the manifest vouches for.
func (m *Manifest) Files() []File {
	out := []File{m.Base.File}
	for _, a := range m.Adapters {
		out = append(out, a.File)
	}
	for _, f := range []*File{m.Lexicon, m.Golden} {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// ID is the checkpoint's name and version, as answers report it.
func (c *Checkpoint) ID() string { return c.Name + "@" + c.Version }

// Quantised says whether the base's weights are stored in fewer than 16 bits (general.file_type of GGUF: 0 is F32, 1 F16,
// 32 BF16).
func (c *Checkpoint) Quantised() bool {
	h, err := readHeader(c.Path(c.Base.File))
	if err != nil {
		return false
	}
	kind, said := h.number["general.file_type"]
	return said && kind != 0 && kind != 1 && kind != 32
}

// IsID says whether a text has the form of an ID.
func IsID(text string) bool { return versionID.MatchString(text) }

// Path is where a file of the checkpoint is.
func (c *Checkpoint) Path(f File) string {
	if filepath.IsAbs(f.File) {
		return f.File
	}
	return filepath.Join(c.dir, f.File)
}

// WithBase is the checkpoint with other weights in the same form, such as quantised ones; they are not verified.
func (c *Checkpoint) WithBase(path string) *Checkpoint {
	out := *c
	out.Base.File.File = path
	return &out
}

func parse(raw []byte) (m Manifest, err error) {
	if len(raw) > maxManifest {
		return m, fmt.Errorf("it is longer than %d bytes", maxManifest)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	var some *yaml.TypeError
	switch err := d.Decode(&m); {
	case errors.As(err, &some): // the rest has been read
		return m, errors.Join(plain(some), m.validate())
	case errors.Is(err, io.EOF):
		return m, errors.New("it is empty")
	case err != nil:
		return m, err
	}
	return m, m.validate()
}

var (
	hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	versionID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

func (m *Manifest) validate() error {
	var errs []error
	check := checker(&errs)
	check(m.Schema == Schema, "schema is %d, this program reads %d", m.Schema, Schema)
	check(m.Name != "" && m.Version != "", "name and version must be set")
	errs = append(errs, m.Base.check("base"))
	check(m.Prompt.MaxTokens >= 1 && m.Prompt.MaxTokens <= 1<<16, "prompt.max_tokens is %d, outside 1 to 65536", m.Prompt.MaxTokens)
	check(m.Calibration.Method == "temperature", "calibration.method is %q, not temperature", m.Calibration.Method)
	check(m.Calibration.Temperature > 0 && m.Calibration.Temperature < 100, "calibration.temperature is %g", m.Calibration.Temperature)
	if m.IsGuard() {
		return errors.Join(append(errs, m.validateGuard())...)
	}
	return errors.Join(append(errs, m.validateMapping())...)
}

// validateMapping checks what a checkpoint that maps findings has.
func (m *Manifest) validateMapping() error {
	var errs []error
	check := checker(&errs)
	check(m.Taxonomy != "", "taxonomy must be set")
	check(len(m.Adapters) <= maxAdapters, "%d adapters; at most %d are supported", len(m.Adapters), maxAdapters)
	least := map[int]bool{}
	for _, a := range m.Adapters {
		errs = append(errs, a.check("adapter "+a.Name))
		check(a.Scale > 0, "adapter %s: scale is %g", a.Name, a.Scale)
		check(a.Temperature >= 0 && a.Temperature < 100, "adapter %s: temperature is %g", a.Name, a.Temperature)
		check(a.MinWords >= 0 && !least[a.MinWords], "adapter %s: min_words is %d, negative or another adapter's", a.Name, a.MinWords)
		least[a.MinWords] = true
	}
	check(len(m.Adapters) == 0 || least[0], "adapters: none has min_words 0, for the shortest findings")
	p := m.Prompt
	check(p.Normalize == "words" || p.Normalize == "none", "prompt.normalize is %q, not words or none", p.Normalize)
	if m.Lexicon != nil {
		errs = append(errs, m.Lexicon.check("lexicon"))
		check(p.Normalize == "words", "lexicon: its entries are normalised, so prompt.normalize must be words")
	}
	if m.Golden != nil {
		errs = append(errs, m.Golden.check("golden"))
	}
	errs = append(errs, p.fields(m.Codec.Type))
	check((p.Evidence == nil) == (m.Lexicon == nil), "lexicon and prompt.evidence go together; set both or neither")
	check(p.Evidence == nil || p.Evidence.Labels >= 1 && p.Evidence.Labels <= 16, "prompt.evidence.labels is outside 1 to 16")
	switch m.Codec.Type {
	case "code":
		check(len(m.Codec.Codes) >= 2, "codec.codes has %d labels", len(m.Codec.Codes))
	case "json":
		check(len(m.Codec.Codes) == 0, "codec.codes is for type code")
	default:
		check(false, "codec.type is %q, not code, json or verdict", m.Codec.Type)
	}
	check(p.Guard.empty() && m.Codec.Verdict.empty(), "prompt.suffix and roles, and codec.clean, flagged, categories, most and end are a guard's: codec.type verdict")
	return errors.Join(errs...)
}

// checker returns a function that adds a mistake to errs unless all is well.
func checker(errs *[]error) func(ok bool, format string, args ...any) {
	return func(ok bool, format string, args ...any) {
		if !ok {
			*errs = append(*errs, fmt.Errorf(format, args...))
		}
	}
}

// check says whether the name is one of the directory, and the hash is one.
func (f File) check(what string) error {
	var errs []error
	check := checker(&errs)
	check(fileName.MatchString(f.File), "%s.file %q is not a plain file name", what, f.File)
	check(hexSHA256.MatchString(f.SHA256) && f.Bytes > 0, "%s.sha256 is not 64 hex digits, or its bytes %d; %s", what, f.Bytes, howToSeal)
	return errors.Join(errs...)
}

func verify(dir string, want File) error {
	f, err := os.Open(filepath.Join(dir, want.File))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is missing; the manifest names it", want.File)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if !hexSHA256.MatchString(want.SHA256) {
		return nil // validate has said so
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("%s: %w", want.File, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 || n != want.Bytes {
		return fmt.Errorf("%s has %d bytes and SHA-256 %s, the manifest says %d and %s; fetch it again, or if it is meant to be so, %s",
			want.File, n, got, want.Bytes, want.SHA256, howToSeal)
	}
	return nil
}
