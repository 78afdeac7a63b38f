// Package detect has the built-in detectors, one a package below: pure Go, offline, linear in the content's length.
// This package has only what they share, and what they share with remote detectors: what a detector is, and what it
// says. A detector reads content that may be anything, also broken UTF-8, and answers with places in it and with
// reasons, never with the content itself.
package detect

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Input is what a detector is to look at.
type Input struct {
	Content string          // UTF-8; of an image, base64
	Type    api.ContentType // what a detector of its kind takes: text, code or image; a document comes as the text in it
}

// Source is a detector as requests use it, built in or remote. It is safe for concurrent use, and ends when ctx does. It
// makes one attempt: who calls it owns retries and deadlines. Findings have places in bytes and code points of the
// content, or none. That there is nothing is an output whose only finding is clean, and no error. The error is a
// *Failure, or of ctx.
type Source interface {
	Name() string    // as policies name it
	Version() string // changes when answers may
	Takes(t api.ContentType) bool
	Covers() []string // categories of the taxonomy that it can see: PII, HARM, SECURITY
	Window() int      // code points that it takes at once; 0 is all there are
	Ask(ctx context.Context, in Input) (wire.Output, error)
}

// Failure says why a detector gave no answer. Its text is for callers and has nothing of the content, of secrets, or of
// what the detector answered.
type Failure struct {
	Status     api.DetectorStatus // StatusError, StatusTimeout, StatusRateLimited or StatusUnsupported
	Reason     string             // one of a closed set, for metrics: refused, 5xx, 4xx, garbage, oversize, shape, closed, ...
	Retry      bool               // whether another attempt may help
	RetryAfter time.Duration      // how long the detector asks to be left alone; 0 if it does not say
	Err        error              // for errors.Is; never shown
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Status, f.Reason) }

// Unwrap gives errors.Is and errors.As the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Hit is one thing found. Offsets are of the content: bytes, and code points; end is behind the last.
type Hit struct {
	Label              string  // in the detector's own words: EMAIL_ADDRESS
	Score              float64 // how sure, 0 to 1
	Start, End         int     // bytes
	RuneStart, RuneEnd int     // code points
	Rule               string  // which rule said it, and what raised or lowered its score: an explanation without content
}

// Detector finds things in content. It is safe for concurrent use, and never returns or keeps a piece of the content.
type Detector interface {
	Name() string                                              // pii
	Version() string                                           // of its rules
	Labels() []string                                          // all it can say
	Detect(ctx context.Context, content string) ([]Hit, error) // ordered by Start; only ctx's error
}

// Runes fills in the code points of hits that are ordered by Start, in one pass. A byte that is not part of valid
// UTF-8 counts as one code point, as it does for a range loop.
func Runes(content string, hits []Hit) {
	at, runes := 0, 0
	for i := range hits {
		h := &hits[i]
		runes += utf8.RuneCountInString(content[at:h.Start])
		at = h.Start
		h.RuneStart = runes
		h.RuneEnd = runes + utf8.RuneCountInString(content[h.Start:h.End])
	}
}
