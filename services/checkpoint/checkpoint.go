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
const Schema = 1

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

// Adapter is a LoRA adapter for the base.
type Adapter struct {
	Name  string `yaml:"name"`
	File  `yaml:",inline"`
	Scale float32 `yaml:"scale"`
}

// Kind says which detectors are of a kind: those whose name in lower case contains one of the words.
type Kind struct {
	Kind  string   `yaml:"kind"` // the text that stands for {kind} in the template
	Match []string `yaml:"match"`
}

// Prompt says how a finding becomes a prompt.
type Prompt struct {
	Normalize   string `yaml:"normalize"` // words or none
	Prefix      string `yaml:"prefix"`    // the same for every request, decoded once
	Template    string `yaml:"template"`  // with {kind} and {finding}
	MaxTokens   int    `yaml:"max_tokens"`
	DefaultKind string `yaml:"default_kind"`
	Kinds       []Kind `yaml:"kinds"` // the first that matches counts
}

// Codec says what the model answers: type code, one token for each label; or type json, {"label":"..."}.
type Codec struct {
	Type  string            `yaml:"type"`
	Codes map[string]string `yaml:"codes"` // label to the text of its token, for type code
}

// Calibration turns the model's softmax into a probability that is right as often as it says.
type Calibration struct {
	Method      string  `yaml:"method"` // temperature
	Temperature float64 `yaml:"temperature"`
	ECE         float64 `yaml:"ece"` // expected calibration error on the set it was fitted on
	FittedOn    string  `yaml:"fitted_on"`
}

// Evaluation is a measured figure; it informs, nothing reads it.
type Evaluation struct {
	Set  string  `yaml:"set"`
	N    int     `yaml:"n"`
	Top1 float64 `yaml:"top1"`
	Top3 float64 `yaml:"top3"`
}

// Training says how the checkpoint was made; it informs, nothing reads it.
type Training struct {
	Seed        int     `yaml:"seed"`
	Steps       int     `yaml:"steps"`
	WallSeconds float64 `yaml:"wall_seconds"`
	Command     string  `yaml:"command"`
	Torch       string  `yaml:"torch"`
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
	Taxonomy    string       `yaml:"taxonomy"` // the version whose labels it answers with
	Base        Base         `yaml:"base"`
	Adapters    []Adapter    `yaml:"adapters"`
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
	f, err := os.Open(filepath.Join(dir, "manifest.yaml"))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	m, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: manifest.yaml: %w", dir, err)
	}
	errs := []error{verify(dir, m.Base.File)}
	for _, a := range m.Adapters {
		errs = append(errs, verify(dir, a.File))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return &Checkpoint{Manifest: m, dir: dir}, nil
}

// ID is the checkpoint's name and version, as answers report it.
func (c *Checkpoint) ID() string { return c.Name + "@" + c.Version }

// Path is where a file of the checkpoint is.
func (c *Checkpoint) Path(f File) string { return filepath.Join(c.dir, f.File) }

func parse(raw []byte) (m Manifest, err error) {
	if len(raw) > maxManifest {
		return m, fmt.Errorf("it is longer than %d bytes", maxManifest)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return m, err
	}
	return m, m.validate()
}

var (
	hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

func (m *Manifest) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(m.Schema == Schema, "schema is %d, this program reads %d", m.Schema, Schema)
	check(m.Name != "" && m.Version != "" && m.Taxonomy != "", "name, version and taxonomy must be set")
	file := func(what string, f File) {
		check(fileName.MatchString(f.File), "%s.file %q is not a plain file name", what, f.File)
		check(hexSHA256.MatchString(f.SHA256), "%s.sha256 is not 64 hex digits", what)
		check(f.Bytes > 0, "%s.bytes is %d", what, f.Bytes)
	}
	file("base", m.Base.File)
	check(len(m.Adapters) <= 1, "%d adapters; one is supported", len(m.Adapters))
	for _, a := range m.Adapters {
		file("adapter "+a.Name, a.File)
		check(a.Scale > 0, "adapter %s: scale is %g", a.Name, a.Scale)
	}
	p := m.Prompt
	check(p.Normalize == "words" || p.Normalize == "none", "prompt.normalize is %q, not words or none", p.Normalize)
	check(p.MaxTokens >= 1 && p.MaxTokens <= 1<<16, "prompt.max_tokens is %d, outside 1 to 65536", p.MaxTokens)
	switch m.Codec.Type {
	case "code":
		check(len(m.Codec.Codes) >= 2, "codec.codes has %d labels", len(m.Codec.Codes))
	case "json":
		check(len(m.Codec.Codes) == 0, "codec.codes is for type code")
	default:
		check(false, "codec.type is %q, not code or json", m.Codec.Type)
	}
	check(m.Calibration.Method == "temperature", "calibration.method is %q, not temperature", m.Calibration.Method)
	check(m.Calibration.Temperature > 0 && m.Calibration.Temperature < 100, "calibration.temperature is %g", m.Calibration.Temperature)
	return errors.Join(errs...)
}

func verify(dir string, want File) error {
	f, err := os.Open(filepath.Join(dir, want.File))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("%s: %w", want.File, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 || n != want.Bytes {
		return fmt.Errorf("%s has %d bytes and SHA-256 %s, the manifest says %d and %s", want.File, n, got, want.Bytes, want.SHA256)
	}
	return nil
}
