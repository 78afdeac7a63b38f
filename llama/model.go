//go:build llama

package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"
)

// Model is a set of weights with its vocabulary.
type Model struct {
	info ModelInfo
	path string

	mu   sync.RWMutex // guards c against Close; readers hold it while C works with the model
	c    *C.lm_model
	uses int // open contexts and adapters
}

// LoadModel reads a GGUF file. Open must have succeeded.
func LoadModel(path string, o ModelOptions) (*Model, error) {
	opened.Lock()
	done := opened.done
	opened.Unlock()
	if !done {
		return nil, fmt.Errorf("load %s: %w: Open was not called", path, ErrLibrary)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var why reason
	c := C.lm_model_load(cpath, C.int32_t(o.GPULayers), why.ptr())
	if c == nil {
		return nil, fmt.Errorf("load %s: %w", path, why.err())
	}
	var i C.lm_model_info
	C.lm_model_info_get(c, &i)
	m := &Model{c: c, path: path, info: ModelInfo{
		Description: C.GoString(&i.description[0]), Parameters: int64(i.parameters), Bytes: int64(i.bytes),
		ContextTrain: int(i.context_train), Vocabulary: int(i.vocabulary), BOS: Token(i.bos), EOS: Token(i.eos), AddBOS: i.add_bos != 0,
	}}
	if i.heads > 0 { // K and V, two bytes a value
		m.info.KVBytes = 2 * 2 * int(i.layers) * int(i.embedding) / int(i.heads) * int(i.heads_kv)
	}
	return m, nil
}

// Quantize writes the weights of a GGUF file again in one of Quantisations. Open must have succeeded.
func Quantize(from, to, kind string) error {
	number, known := quantisations[kind]
	if !known {
		return fmt.Errorf("quantize %s: %q is not one of %v", from, kind, Quantisations())
	}
	opened.Lock()
	done := opened.done
	opened.Unlock()
	if !done {
		return fmt.Errorf("quantize %s: %w: Open was not called", from, ErrLibrary)
	}
	cfrom, cto := C.CString(from), C.CString(to)
	defer C.free(unsafe.Pointer(cfrom))
	defer C.free(unsafe.Pointer(cto))
	var why reason
	if C.lm_quantize(cfrom, cto, C.int32_t(number), why.ptr()) == 0 {
		return fmt.Errorf("quantize %s: %w", from, why.err())
	}
	return nil
}

// Info describes the model.
func (m *Model) Info() ModelInfo { return m.info }

// Close frees the weights. It fails with ErrInUse while a context or adapter of the model is open.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.c == nil {
		return nil
	}
	if m.uses > 0 {
		return fmt.Errorf("close %s: %w by %d contexts or adapters", m.path, ErrInUse, m.uses)
	}
	C.lm_model_free(m.c)
	m.c = nil
	return nil
}

// Tokenize splits text into tokens. It adds none in front. With special, the text of a special token in the
// input becomes that token; never set it for text from outside.
func (m *Model) Tokenize(text string, special bool) ([]Token, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > math.MaxInt32/2 {
		return nil, fmt.Errorf("tokenize: %d bytes are too many", len(text))
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.c == nil {
		return nil, fmt.Errorf("tokenize: model %w", ErrClosed)
	}
	out := make([]Token, len(text)+8) // a token has at least one byte, but for a space in front
	for {
		var why reason
		n := C.lm_tokenize(m.c, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.int32_t(len(text)),
			(*C.int32_t)(unsafe.SliceData(out)), C.int32_t(len(out)), flag(special), why.ptr())
		switch {
		case n == math.MinInt32:
			return nil, fmt.Errorf("tokenize: %w", why.err())
		case n >= 0:
			return out[:n], nil
		}
		out = make([]Token, -n)
	}
}

// Detokenize joins tokens into text; special tokens become their text.
func (m *Model) Detokenize(tokens []Token) (string, error) {
	if len(tokens) == 0 {
		return "", nil
	}
	for _, t := range tokens {
		if t < 0 || int(t) >= m.info.Vocabulary {
			return "", fmt.Errorf("detokenize: token %d is not in the vocabulary of %d", t, m.info.Vocabulary)
		}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.c == nil {
		return "", fmt.Errorf("detokenize: model %w", ErrClosed)
	}
	out := make([]byte, 8*len(tokens)+16)
	for {
		var why reason
		n := C.lm_detokenize(m.c, (*C.int32_t)(unsafe.SliceData(tokens)), C.int32_t(len(tokens)),
			(*C.char)(unsafe.Pointer(unsafe.SliceData(out))), C.int32_t(len(out)), why.ptr())
		switch {
		case n == math.MinInt32:
			return "", fmt.Errorf("detokenize: %w", why.err())
		case n >= 0:
			return string(out[:n]), nil
		}
		out = make([]byte, -n)
	}
}

// Adapter is a LoRA adapter for one model.
type Adapter struct {
	model *Model
	c     *C.lm_adapter
	uses  int // contexts that have it switched on; guarded by model.mu
}

// LoadAdapter reads a LoRA adapter GGUF. No context of the model may be decoding meanwhile.
func (m *Model) LoadAdapter(path string) (*Adapter, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("load adapter: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.c == nil {
		return nil, fmt.Errorf("load adapter %s: model %w", path, ErrClosed)
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var why reason
	c := C.lm_adapter_load(m.c, cpath, why.ptr())
	if c == nil {
		return nil, fmt.Errorf("load adapter %s: %w", path, why.err())
	}
	m.uses++
	return &Adapter{model: m, c: c}, nil
}

// Close frees the adapter. It fails with ErrInUse while a context has it switched on.
func (a *Adapter) Close() error {
	a.model.mu.Lock()
	defer a.model.mu.Unlock()
	if a.c == nil {
		return nil
	}
	if a.uses > 0 {
		return fmt.Errorf("close adapter: %w by %d contexts", ErrInUse, a.uses)
	}
	C.lm_adapter_free(a.c)
	a.c = nil
	a.model.uses--
	return nil
}

func flag(on bool) C.int {
	if on {
		return 1
	}
	return 0
}
