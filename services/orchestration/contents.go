package orchestration

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// contentsTimeout is what one request of the detector API may take.
const contentsTimeout = 2 * time.Second

// defaultThreshold is the score below which nothing is said where the caller does not say another.
const defaultThreshold = 0.5

// atOnce bounds the texts of a request that are looked at together.
const atOnce = 4

// Contents serves the built-in detectors by the FMS detector API, so that whatever speaks that, TrustyAI's orchestrator
// among others, can use them. Its methods may be called from any goroutine.
type Contents []detect.Detector

// Chosen returns the detectors that a list of names, joined by commas, names; all for "".
func (c Contents) Chosen(names string) ([]detect.Detector, error) {
	if names == "" {
		return c, nil
	}
	list := strings.Split(names, ",")
	if len(list) > api.MaxDetectors {
		return nil, api.Errorf(api.InvalidRequest, "detector-id must have at most %d names", api.MaxDetectors)
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	var chosen []detect.Detector
	for _, d := range c {
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
func (c Contents) Detect(ctx context.Context, detectors []detect.Detector, req api.ContentsRequest) ([][]api.Detection, error) {
	found, threshold := make([][]api.Detection, len(req.Contents)), cmp.Or(req.Params.Threshold, defaultThreshold)
	group := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(atOnce)
	for i, content := range req.Contents {
		group.Go(func(ctx context.Context) (err error) {
			found[i], err = detectAll(ctx, detectors, content, threshold)
			return err
		})
	}
	return found, group.Wait()
}

func detectAll(ctx context.Context, detectors []detect.Detector, content string, threshold float64) ([]api.Detection, error) {
	all := []api.Detection{}
	for _, d := range detectors {
		hits, err := d.Detect(ctx, content)
		if err != nil {
			return nil, fmt.Errorf("detector %s: %w", d.Name(), err)
		}
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

func (c Contents) post(rc *fasthttp.RequestCtx) error {
	detectors, err := c.Chosen(string(rc.Request.Header.Peek("detector-id")))
	if err != nil {
		return err
	}
	req, err := api.ParseContents(rc.PostBody())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(web.Context(rc), contentsTimeout)
	defer cancel()
	found, err := c.Detect(ctx, detectors, req)
	if err != nil {
		return err
	}
	return web.JSON(rc, fasthttp.StatusOK, found)
}
