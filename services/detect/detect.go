// Package detect has the built-in detectors, one a package below: pure Go, offline, linear in the content's length.
// This package has only what they share: what a detector is, and what it says. A detector reads content that may be
// anything, also broken UTF-8, and answers with places in it and with reasons, never with the content itself.
package detect

import (
	"context"
	"unicode/utf8"
)

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
