package api

// Summary says what was decided in a piece of the audit.
type Summary struct {
	Events         int            `json:"events"`          // mappings
	Drifts         int            `json:"drifts"`          // labels that a detector's table did not know, seen for the first time
	Labels         map[string]int `json:"labels"`          // canonical label to mappings whose detector said it with a score of a half or more, or without one
	WeakLabels     map[string]int `json:"weak_labels"`     // the same of a lower score, which a policy leaves aside unless it says otherwise
	Detectors      map[string]int `json:"detectors"`       // to mappings
	Sources        map[string]int `json:"sources"`         // what answers rest on, to mappings
	Unknown        int            `json:"unknown"`         // mappings with OTHER.Unknown
	MeanConfidence float64        `json:"mean_confidence"` // 0 without mappings
	Next           string         `json:"next"`            // the cursor behind the last event; after=NEXT goes on
	Complete       bool           `json:"complete"`        // there are no events behind it yet
}
