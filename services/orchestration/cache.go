package orchestration

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// outputs keeps what remote detectors have answered, whole and without an error. Labels, thresholds and decisions are
// made anew from it each time, so a change of a policy, of a table or of the mapper holds at once; a change of a detector
// is another key. Without a cache it is nil.
type outputs struct {
	kept *lru.Cache[string, output]
	life time.Duration
}

// output is an answer, and when it was given.
type output struct {
	wire.Output
	at time.Time
}

func newOutputs(size int, life time.Duration) (*outputs, error) {
	if size == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	kept, err := lru.New[string, output](size)
	return &outputs{kept, life}, err
}

// outputKey is an HMAC of the content under the tenant's key, and the version of the detector.
func outputKey(t *access.Tenant, in detect.Input, detector string) string {
	return t.Vault.Digest(string(in.Type)+"\x00"+in.Content) + " " + detector
}

func (o *outputs) get(key string) (wire.Output, bool) {
	if o == nil {
		return wire.Output{}, false
	}
	v, ok := o.kept.Get(key)
	return v.Output, ok && time.Since(v.at) < o.life
}

func (o *outputs) put(key string, out wire.Output) {
	if o != nil {
		o.kept.Add(key, output{out, time.Now()})
	}
}
