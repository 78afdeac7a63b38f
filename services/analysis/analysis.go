// Package analysis says what the audit's events amount to. In this release that is a summary: it reads the mapper's feed
// with the caller's own key, so it sees what the caller may see and keeps nothing.
package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

const (
	// Timeout is what one summary may take.
	Timeout = 5 * time.Second

	maxEvents   = 10_000  // of one summary
	weak        = 0.5     // below it a label is weak: the threshold of a policy that names none, for events know no policy
	maxResponse = 8 << 20 // bytes of a page of the feed
)

// Credentials are the headers by which a caller is known.
type Credentials struct{ Key, Authorization string }

// Service makes summaries. Its methods may be called from any goroutine.
type Service struct {
	feed   string
	client *fasthttp.Client
}

// New makes a service that reads the mapper at a URL.
func New(mapper string) *Service {
	return &Service{feed: mapper + "/api/v1/events", client: &fasthttp.Client{
		MaxConnsPerHost: 64, MaxConnWaitTimeout: time.Second, MaxIdemponentCallAttempts: 1, ReadTimeout: Timeout, WriteTimeout: Timeout, MaxResponseBodySize: maxResponse,
	}}
}

// Summarize sums up to 10,000 events behind a cursor.
func (s *Service) Summarize(ctx context.Context, who Credentials, after string) (api.Summary, error) {
	out := api.Summary{Labels: map[string]int{}, WeakLabels: map[string]int{}, Detectors: map[string]int{}, Sources: map[string]int{}, Next: after}
	confidence := 0.0
	for read := 0; read < maxEvents && !out.Complete; {
		page, err := s.page(ctx, who, out.Next)
		if err != nil {
			return out, err
		}
		for _, raw := range page.Events {
			var e api.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return out, fmt.Errorf("an event of the feed: %w", err)
			}
			confidence += add(&out, e)
		}
		read += len(page.Events)
		out.Next, out.Complete = page.Next, len(page.Events) < api.MaxEvents
	}
	if out.Events > 0 {
		out.MeanConfidence = confidence / float64(out.Events)
	}
	return out, nil
}

// add counts an event and returns its confidence.
func add(out *api.Summary, e api.Event) float64 {
	if e.Kind != api.EventMapping {
		out.Drifts++
		return 0
	}
	out.Events++
	out.Detectors[e.Detector]++
	out.Sources[string(e.Source)]++
	for _, label := range e.Taxonomy {
		if score, scored := e.Scores[label]; scored && score < weak {
			out.WeakLabels[label]++
		} else {
			out.Labels[label]++
		}
	}
	if slices.Contains(e.Taxonomy, "OTHER.Unknown") {
		out.Unknown++
	}
	return e.Confidence
}

// page reads the next events. What the mapper says is wrong with the request is passed on.
func (s *Service) page(ctx context.Context, who Credentials, after string) (page api.EventsResponse, err error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI(s.feed)
	req.URI().QueryArgs().Set("after", after)
	req.URI().QueryArgs().SetUint("limit", api.MaxEvents)
	if who.Key != "" {
		req.Header.Set("X-API-Key", who.Key)
	}
	if who.Authorization != "" {
		req.Header.Set("Authorization", who.Authorization)
	}
	deadline, _ := ctx.Deadline()
	if err := s.client.DoDeadline(req, res, deadline); err != nil {
		return page, away(err)
	}
	if res.StatusCode() != fasthttp.StatusOK {
		var e api.Error
		if json.Unmarshal(res.Body(), &e) != nil || e.Code == "" {
			return page, away(fmt.Errorf("status %d", res.StatusCode()))
		}
		return page, &e
	}
	if err := json.Unmarshal(res.Body(), &page); err != nil {
		return page, away(err)
	}
	return page, nil
}

func away(err error) error {
	e := api.Errorf(api.UpstreamFailed, "the mapper does not answer as it should; retry in a few seconds")
	e.Err, e.RetryAfter = err, 2*time.Second
	return e
}
