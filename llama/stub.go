//go:build !llama

package llama

import "log/slog"

// Without the build tag llama nothing can be opened, so no method below is ever reached with a usable value.

// Model is a set of weights with its vocabulary.
type Model struct{}

// Adapter is a LoRA adapter for one model.
type Adapter struct{}

// Context decodes batches and holds the cache of its sequences.
type Context struct{}

// SetLogger does nothing in this build.
func SetLogger(*slog.Logger) {}

// Open returns ErrNotBuilt in this build.
func Open(string) error { return ErrNotBuilt }

// LoadPlugin returns ErrNotBuilt in this build.
func LoadPlugin(string) error { return ErrNotBuilt }

// Devices returns ErrNotBuilt in this build.
func Devices() ([]Device, error) { return nil, ErrNotBuilt }

// LoadModel returns ErrNotBuilt in this build.
func LoadModel(string, ModelOptions) (*Model, error) { return nil, ErrNotBuilt }

// Quantize returns ErrNotBuilt in this build.
func Quantize(from, to, kind string) error { return ErrNotBuilt }

// Info is empty in this build.
func (*Model) Info() ModelInfo { return ModelInfo{} }

// Close does nothing in this build.
func (*Model) Close() error { return nil }

// Tokenize returns ErrNotBuilt in this build.
func (*Model) Tokenize(string, bool) ([]Token, error) { return nil, ErrNotBuilt }

// Detokenize returns ErrNotBuilt in this build.
func (*Model) Detokenize([]Token) (string, error) { return "", ErrNotBuilt }

// LoadAdapter returns ErrNotBuilt in this build.
func (*Model) LoadAdapter(string) (*Adapter, error) { return nil, ErrNotBuilt }

// NewContext returns ErrNotBuilt in this build.
func (*Model) NewContext(ContextOptions) (*Context, error) { return nil, ErrNotBuilt }

// Close does nothing in this build.
func (*Adapter) Close() error { return nil }

// Close does nothing in this build.
func (*Context) Close() error { return nil }

// SetAdapter returns ErrNotBuilt in this build.
func (*Context) SetAdapter(*Adapter, float32) error { return ErrNotBuilt }

// CopySequence returns ErrNotBuilt in this build.
func (*Context) CopySequence(from, to Seq) error { return ErrNotBuilt }

// Abort does nothing in this build.
func (*Context) Abort(bool) {}

// Decode returns ErrNotBuilt in this build.
func (*Context) Decode(*Batch) error { return ErrNotBuilt }
