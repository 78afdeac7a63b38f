package api

import "time"

// Limits of a job.
const (
	MaxJobLines = 1_000_000
	MaxJobBytes = 1 << 30 // of its lines together, decompressed
)

// JobState says how far a job is.
type JobState string

// The states of a job.
const (
	JobReceiving JobState = "receiving" // its lines are still coming in
	JobRunning   JobState = "running"
	JobDone      JobState = "done" // every line has its answer
	JobCancelled JobState = "cancelled"
)

// Job is many mappings that are worked on in the background.
type Job struct {
	ID         string     `json:"id"`
	State      JobState   `json:"state"`
	Lines      int64      `json:"lines"`
	Done       int64      `json:"done"`   // lines that have an answer or an error
	Failed     int64      `json:"failed"` // of those, lines that have an error
	Rate       float64    `json:"rate"`   // lines a second: of the last half minute, or of the whole job once it has ended
	ETASeconds *float64   `json:"eta_seconds,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	ExpiresAt  time.Time  `json:"expires_at"` // the job and its result are gone then
}

// JobsResponse is a tenant's jobs, newest first.
type JobsResponse struct {
	Jobs []Job `json:"jobs"`
}

// JobLine is one line of a job's result: the line's number in what was sent, from 1, and its answer or its error.
type JobLine struct {
	Line    int64    `json:"line"`
	Mapping *Mapping `json:"mapping,omitempty"`
	Error   *Error   `json:"error,omitempty"`
}
