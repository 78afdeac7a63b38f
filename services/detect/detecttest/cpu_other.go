//go:build !unix

package detecttest

import "time"

// CPU is the time since the start, where there is nothing better.
func CPU() time.Duration { return time.Since(start) }

var start = time.Now()
