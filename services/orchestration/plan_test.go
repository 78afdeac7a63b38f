package orchestration

import (
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// What a request may take, as the documents say: high is as normal.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		mode, priority string
		policy, asked  int // milliseconds
		want           time.Duration
	}{
		{"sync", "normal", 2000, 0, 2 * time.Second},
		{"sync", "high", 2000, 0, 2 * time.Second},
		{"sync", "low", 2000, 0, 5 * time.Second},
		{"sync", "critical", 2000, 0, time.Second},
		{"sync", "critical", 300, 0, 300 * time.Millisecond},
		{"sync", "low", 2000, 100, 100 * time.Millisecond},
		{"sync", "high", 2000, 4000, 2 * time.Second},
		{"async", "critical", 2000, 0, 30 * time.Second},
	} {
		req := api.OrchestrateRequest{Mode: c.mode, Priority: c.priority, TimeoutMS: c.asked}
		if got := deadline(req, &policy.Policy{DeadlineMS: c.policy}); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
