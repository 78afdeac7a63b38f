package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strings"
)

// Limits of a GGUF header; real models stay far below.
const (
	maxTensors  = 1 << 16
	maxKeys     = 1 << 16
	maxString   = 1 << 20 // bytes
	maxElements = 1 << 22 // of an array; vocabularies have a few hundred thousand
	maxHeader   = 1 << 28 // bytes of all of it
	maxDims     = 4
)

// tensor is a matrix's entry in a GGUF header.
type tensor struct {
	dims   []uint64 // fastest first
	kind   uint32
	offset uint64
}

// header is what a GGUF file says before its data: format/gguf of ggml's documentation, versions 2 and 3.
type header struct {
	text    map[string]string // values of type string
	number  map[string]uint64 // of the unsigned and signed integers and booleans
	lengths map[string]uint64 // of arrays
	tensors map[string]tensor
}

// blocks has, by the number of ggml's type, how many values are stored together and in how many bytes.
var blocks = map[uint32][2]uint64{
	0: {1, 4}, 1: {1, 2}, 2: {32, 18}, 3: {32, 20}, 6: {32, 22}, 7: {32, 24}, 8: {32, 34}, 9: {32, 36}, 10: {256, 84},
	11: {256, 110}, 12: {256, 144}, 13: {256, 176}, 14: {256, 210}, 15: {256, 292}, 16: {256, 66}, 17: {256, 74},
	18: {256, 98}, 19: {256, 50}, 20: {32, 18}, 21: {256, 110}, 22: {256, 82}, 23: {256, 136}, 24: {1, 1}, 25: {1, 2},
	26: {1, 4}, 27: {1, 8}, 28: {1, 8}, 29: {256, 56}, 30: {1, 2}, 34: {256, 54}, 35: {256, 66}, 39: {32, 17},
}

// GGUF's types of values.
const (
	typeString = 8
	typeArray  = 9
)

// widths has the bytes of the types of fixed size.
var widths = map[uint32]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

// isInteger says which of them are not floating point.
var isInteger = map[uint32]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: true, 7: true, 10: true, 11: true}

// readHeader checks that a GGUF file is whole: llama.cpp trusts what it reads and may end the process over it.
func readHeader(path string) (*header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return parseHeader(f, info.Size())
}

func parseHeader(file io.Reader, size int64) (*header, error) {
	r := &reader{r: bufio.NewReaderSize(io.LimitReader(file, maxHeader), 1<<16)}
	h := &header{text: map[string]string{}, number: map[string]uint64{}, lengths: map[string]uint64{}, tensors: map[string]tensor{}}
	if magic := r.take(4); string(magic) != "GGUF" {
		return nil, errors.New("it does not begin with GGUF")
	}
	if v := r.u32(); v != 2 && v != 3 {
		return nil, r.or(fmt.Errorf("GGUF version %d; 2 and 3 are known", v))
	}
	tensors, keys := r.u64(), r.u64()
	if tensors > maxTensors || keys > maxKeys {
		return nil, r.or(fmt.Errorf("it claims %d tensors and %d keys", tensors, keys))
	}
	for range keys {
		if err := h.key(r); err != nil {
			return nil, err
		}
	}
	for range tensors {
		if err := h.tensor(r); err != nil {
			return nil, err
		}
	}
	if r.err != nil {
		return nil, r.or(nil)
	}
	return h, h.fits(uint64(r.n), uint64(size))
}

// key reads a key and its value.
func (h *header) key(r *reader) error {
	name, kind := r.text(), r.u32()
	if r.err != nil {
		return r.or(nil)
	}
	if h.has(name) {
		return fmt.Errorf("key %q is there twice", name)
	}
	switch {
	case kind == typeString:
		h.text[name] = r.text()
	case kind == typeArray:
		of, n := r.u32(), r.u64()
		if n > maxElements || of != typeString && widths[of] == 0 {
			return r.or(fmt.Errorf("key %q: an array of %d values of type %d", name, n, of))
		}
		h.lengths[name] = n
		if of != typeString {
			r.skip(int64(n) * int64(widths[of]))
			break
		}
		for range n {
			if r.text(); r.err != nil {
				break
			}
		}
	case widths[kind] > 0:
		value := r.take(widths[kind])
		if isInteger[kind] && r.err == nil {
			h.number[name] = binary.LittleEndian.Uint64(append(append([]byte{}, value...), make([]byte, 8)...))
		}
	default:
		return r.or(fmt.Errorf("key %q has a value of type %d, which is unknown", name, kind))
	}
	return r.or(nil)
}

func (h *header) has(name string) bool {
	_, text := h.text[name]
	_, number := h.number[name]
	_, list := h.lengths[name]
	return text || number || list
}

// tensor reads a tensor's entry.
func (h *header) tensor(r *reader) error {
	name, n := r.text(), r.u32()
	if r.err != nil {
		return r.or(nil)
	}
	if n < 1 || n > maxDims {
		return fmt.Errorf("tensor %q has %d dimensions", name, n)
	}
	if _, twice := h.tensors[name]; twice {
		return fmt.Errorf("tensor %q is there twice", name)
	}
	var t tensor
	for range n {
		t.dims = append(t.dims, r.u64())
	}
	t.kind, t.offset = r.u32(), r.u64()
	h.tensors[name] = t
	return r.or(nil)
}

// fits checks that every tensor lies in the file.
func (h *header) fits(end, size uint64) error {
	align := uint64(32)
	if a, set := h.number["general.alignment"]; set {
		align = a
	}
	if align == 0 || align&(align-1) != 0 || align > 1<<16 {
		return fmt.Errorf("general.alignment is %d, not a power of two", align)
	}
	data := (end + align - 1) / align * align
	for name, t := range h.tensors {
		bytes, err := t.bytes()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		last, over := bits.Add64(t.offset, bytes, 0)
		if over != 0 || t.offset%align != 0 || last > size || data > size-last {
			return fmt.Errorf("tensor %q lies outside the file, which has %d bytes: it is truncated or damaged", name, size)
		}
	}
	return nil
}

func (t tensor) bytes() (uint64, error) {
	block, known := blocks[t.kind]
	if !known {
		return 0, fmt.Errorf("values of type %d are unknown", t.kind)
	}
	n := uint64(1)
	for _, d := range t.dims {
		high, low := bits.Mul64(n, d)
		if d == 0 || high != 0 || low > 1<<50 {
			return 0, fmt.Errorf("%v is no shape", t.dims)
		}
		n = low
	}
	if t.dims[0]%block[0] != 0 {
		return 0, fmt.Errorf("rows of %d values do not fill blocks of %d", t.dims[0], block[0])
	}
	return n / block[0] * block[1], nil
}

// model checks that the header is of a model that can be run, in what llama.cpp divides by and indexes with.
func (h *header) model() error {
	arch := h.text["general.architecture"]
	if arch == "" {
		return errors.New("general.architecture is missing: is it a model?")
	}
	if h.text["general.type"] == "adapter" {
		return errors.New("it is an adapter, not a model")
	}
	for _, key := range []string{"block_count", "embedding_length", "attention.head_count", "context_length"} {
		if v, list := h.number[arch+"."+key], h.lengths[arch+"."+key]; (v == 0 || v > 1<<24) && list == 0 {
			return fmt.Errorf("%s.%s is %d", arch, key, v)
		}
	}
	if heads := h.number[arch+".attention.head_count"]; heads > 0 {
		if kv, set := h.number[arch+".attention.head_count_kv"]; set && (kv == 0 || heads%kv != 0) {
			return fmt.Errorf("%s.attention.head_count is %d for %d of K and V", arch, heads, kv)
		}
	}
	vocabulary := h.lengths["tokenizer.ggml.tokens"]
	if vocabulary == 0 {
		return errors.New("tokenizer.ggml.tokens is missing: it has no vocabulary")
	}
	for _, key := range []string{"scores", "token_type"} {
		if n, set := h.lengths["tokenizer.ggml."+key]; set && n != vocabulary {
			return fmt.Errorf("tokenizer.ggml.%s has %d values for %d tokens", key, n, vocabulary)
		}
	}
	for key, id := range h.number {
		if strings.HasPrefix(key, "tokenizer.ggml.") && strings.HasSuffix(key, "_token_id") && id >= vocabulary && id != 0xffffffff {
			return fmt.Errorf("%s is %d of %d tokens", key, id, vocabulary)
		}
	}
	return nil
}

// adapts checks that an adapter's matrices fit the base's.
func (h *header) adapts(base *header) error {
	if h.text["general.type"] != "adapter" || h.text["adapter.type"] != "lora" {
		return errors.New("it is not a LoRA adapter; llama.cpp's convert_lora_to_gguf.py makes one of PEFT's")
	}
	if ours, theirs := h.text["general.architecture"], base.text["general.architecture"]; ours != theirs {
		return fmt.Errorf("it is for architecture %q, the base is %q", ours, theirs)
	}
	if len(h.tensors) == 0 {
		return errors.New("it has no matrices")
	}
	for name, t := range h.tensors {
		of, second := strings.CutSuffix(name, ".lora_b")
		if !second {
			if of, second = strings.CutSuffix(name, ".lora_a"); !second {
				return fmt.Errorf("tensor %q is not half of a low-rank pair", name)
			}
			if _, whole := h.tensors[of+".lora_b"]; !whole {
				return fmt.Errorf("tensor %q lacks its other half", name)
			}
			continue
		}
		a, whole := h.tensors[of+".lora_a"]
		w, known := base.tensors[of]
		switch {
		case !whole:
			return fmt.Errorf("tensor %q lacks its other half", name)
		case !known:
			return fmt.Errorf("it changes %q, which the base does not have: it is for another base", of)
		case len(a.dims) != 2 || len(t.dims) != 2 || len(w.dims) < 2:
			return fmt.Errorf("tensor %q is not a matrix", name)
		case a.dims[1] != t.dims[0]:
			return fmt.Errorf("tensor %q has rank %d, its other half %d", name, t.dims[0], a.dims[1])
		case of != "token_embd.weight" && (a.dims[0] != w.dims[0] || t.dims[1] != w.dims[1]):
			return fmt.Errorf("%q is %v for the adapter and %v in the base: it is for another base", of, []uint64{a.dims[0], t.dims[1]}, w.dims)
		}
	}
	return nil
}

// reader reads little-endian numbers; after the first error all it returns is zero.
type reader struct {
	r   io.Reader
	n   int64
	err error
}

// or is the reader's own error if there is one.
func (r *reader) or(err error) error {
	if r.err != nil {
		return fmt.Errorf("its header breaks off after %d bytes: it is truncated or damaged", r.n)
	}
	return err
}

func (r *reader) take(n int) []byte {
	out := make([]byte, n)
	if r.err == nil {
		var got int
		got, r.err = io.ReadFull(r.r, out)
		r.n += int64(got)
	}
	return out
}

func (r *reader) skip(n int64) {
	if r.err == nil {
		var got int64
		got, r.err = io.CopyN(io.Discard, r.r, n)
		r.n += got
	}
}

func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) text() string {
	n := r.u64()
	if n > maxString {
		if r.err == nil {
			r.err = errors.New("a text is too long")
		}
		return ""
	}
	return string(r.take(int(n)))
}
