//go:build llama

package llama

// #cgo CXXFLAGS: -std=c++17 -O2 -Wall -Wextra
// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"
)

// reason is room for the shim's explanation of a failure. It lives on Go's heap and holds no pointer.
type reason [C.LM_ERROR_BYTES]C.char

func (r *reason) ptr() *C.char { return &r[0] }

func (r *reason) err() error { return errors.New(C.GoString(&r[0])) }

var opened struct {
	sync.Mutex // guards done: llama.cpp is opened once for the process
	done       bool
}

// Open loads libllama.so and its ggml libraries from dir, an absolute directory. An empty dir means the
// environment's LLAMA_CPP_LIB, or else the directory the program was built with. A missing library and one
// of another version are ErrLibrary. Once it has succeeded, further calls do nothing.
func Open(dir string) error {
	opened.Lock()
	defer opened.Unlock()
	if opened.done {
		return nil
	}
	if dir == "" {
		dir = os.Getenv("LLAMA_CPP_LIB")
	}
	var cdir *C.char
	if dir != "" {
		cdir = C.CString(dir)
		defer C.free(unsafe.Pointer(cdir))
	}
	version := C.CString(Version)
	defer C.free(unsafe.Pointer(version))
	var why reason
	if C.lm_open(cdir, version, why.ptr()) != 0 {
		return fmt.Errorf("%w: %w; run `make llama`, or set LLAMA_CPP_LIB to the directory of libllama.so %s", ErrLibrary, why.err(), Version)
	}
	opened.done = true
	return nil
}

// LoadPlugin loads a compute backend (libggml-cuda.so, libggml-vulkan.so) by its absolute path and registers
// its devices. Models loaded afterwards can be offloaded to them.
func LoadPlugin(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("load plug-in %s: the path must be absolute", path)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("load plug-in: %w", err)
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var why reason
	if C.lm_plugin(cpath, why.ptr()) != 0 {
		return fmt.Errorf("load plug-in %s: %w", path, why.err())
	}
	return nil
}

// Devices lists what llama.cpp can compute on, with the memory that is free now.
func Devices() ([]Device, error) {
	out := make([]Device, C.lm_devices())
	for i := range out {
		var d C.lm_device
		var why reason
		if C.lm_device_at(C.int32_t(i), &d, why.ptr()) != 0 {
			return nil, fmt.Errorf("device %d: %w", i, why.err())
		}
		out[i] = Device{
			Name: C.GoString(&d.name[0]), Description: C.GoString(&d.description[0]), GPU: d.gpu != 0,
			MemoryFree: uint64(d.memory_free), MemoryTotal: uint64(d.memory_total),
		}
	}
	return out, nil
}

// throw makes the shim throw a C++ exception and returns what becomes of it.
func throw(what string) error {
	cwhat := C.CString(what)
	defer C.free(unsafe.Pointer(cwhat))
	var why reason
	if C.lm_throw(cwhat, why.ptr()) != 0 {
		return why.err()
	}
	return nil
}
