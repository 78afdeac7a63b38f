// Package orchestration runs detectors over content. In this release it serves the built-in ones by the FMS detector
// API, so that whatever speaks that, TrustyAI's orchestrator among others, can use them.
package orchestration

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sourcegraph/conc/pool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Timeout is what one request may take.
const Timeout = 2 * time.Second

// defaultThreshold is the score below which nothing is said where the caller does not say another.
const defaultThreshold = 0.5

// atOnce bounds the texts of a request that are looked at together.
const atOnce = 4

// Service runs detectors. Its methods may be called from any goroutine.
type Service struct {
	detectors []detect.Detector
	seconds   *prometheus.HistogramVec
}

// New makes a service of detectors, whose names differ; metrics go to reg.
func New(detectors []detect.Detector, reg prometheus.Registerer) *Service {
	return &Service{detectors, promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name: "detector_seconds", Help: "Time of a detector over one text.", Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1},
	}, []string{"detector"})}
}

// Chosen returns the detectors that a list of names, joined by commas, names; all for "".
func (s *Service) Chosen(names string) ([]detect.Detector, error) {
	if names == "" {
		return s.detectors, nil
	}
	list := strings.Split(names, ",")
	if len(list) > api.MaxDetectors {
		return nil, api.Errorf(api.InvalidRequest, "detector-id must have at most %d names", api.MaxDetectors)
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	var chosen []detect.Detector
	for _, d := range s.detectors {
		if slices.Contains(list, d.Name()) {
			chosen = append(chosen, d)
		}
	}
	if len(chosen) != len(list) {
		return nil, api.Errorf(api.NotFound, "detector-id names a detector that there is not, or one twice; GET /api/v1/detectors lists them")
	}
	return chosen, nil
}

// Detect returns what detectors find in each of the texts, in their order: all of it, or an error.
func (s *Service) Detect(ctx context.Context, detectors []detect.Detector, req api.ContentsRequest) ([][]api.Detection, error) {
	found, threshold := make([][]api.Detection, len(req.Contents)), cmp.Or(req.Params.Threshold, defaultThreshold)
	group := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(atOnce)
	for i, content := range req.Contents {
		group.Go(func(ctx context.Context) (err error) {
			found[i], err = s.detect(ctx, detectors, content, threshold)
			return err
		})
	}
	return found, group.Wait()
}

func (s *Service) detect(ctx context.Context, detectors []detect.Detector, content string, threshold float64) ([]api.Detection, error) {
	all := []api.Detection{}
	for _, d := range detectors {
		began := time.Now()
		hits, err := d.Detect(ctx, content)
		if err != nil {
			return nil, fmt.Errorf("detector %s: %w", d.Name(), err)
		}
		s.seconds.WithLabelValues(d.Name()).Observe(time.Since(began).Seconds())
		for _, h := range hits {
			if h.Score >= threshold {
				all = append(all, api.Detection{
					Start: h.RuneStart, End: h.RuneEnd, Text: strings.ToValidUTF8(content[h.Start:h.End], "\uFFFD"), Detection: h.Label, DetectionType: d.Name(), Score: h.Score,
					Evidence: []api.Evidence{{Name: "rule", Value: h.Rule, Score: h.Score}},
				})
			}
		}
	}
	return all, nil
}
