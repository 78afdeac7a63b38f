// Package llama is the border to llama.cpp: nothing else in this module says import "C", and no C type
// appears in an exported name.
//
// # Building
//
// With the build tag llama the package compiles a C++ shim against the headers of the pinned llama.cpp
// (PIN, build.sh). The library itself is opened at run time by absolute path, so a binary starts without
// it and Open says what is missing. Without the tag, every function that would need llama.cpp returns
// ErrNotBuilt, and everything above this package builds and tests with CGO_ENABLED=0.
//
// # Ownership and threads
//
//   - Open is called once, before anything else. It may be repeated.
//   - A Model may be used by many goroutines at once: Tokenize, Detokenize, Info and NewContext only read it.
//     LoadAdapter changes it, and may not run beside a Decode of any context of that model.
//   - A Context belongs to one goroutine at a time, best one that is locked to its OS thread. Only Abort may be
//     called from elsewhere. Contexts of one model may decode in parallel.
//   - Close in the reverse order: contexts, then adapters, then the model. Close may be repeated; the second
//     call does nothing. Closing an owner before what depends on it is refused with ErrInUse.
//   - Log lines come from any thread of C, through one handler (SetLogger) that must be safe for that.
//
// Sizes and ranges are checked in Go before a call, because a failed assertion in C ends the process.
// A C++ exception is caught by the shim and returned as an error.
package llama
