package mapper

import (
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
)

// Event is what is kept of a mapping that was begun at a time, for a job that keeps it with its result. RequestID and
// Item are the job's to fill in.
func (s *Service) Event(c access.Caller, m *api.Mapping, begin time.Time) api.Event {
	return s.event(c, m, begin)
}
