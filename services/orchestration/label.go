package orchestration

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// MapperBudget is what the mapper may take of a request's time.
const MapperBudget = 500 * time.Millisecond

const (
	mapperBody     = api.MaxBody - 1<<10 // of one batch, its outside left aside
	mapperResponse = 4 << 20
)

// Said is what one detector has found, to be named.
type Said struct {
	Detector string
	Output   wire.Output
}

// Labeller gives findings their canonical labels: it asks the mapper, over connections that are kept, with a pass for
// the caller. A mapper that does not answer is left alone for two seconds.
type Labeller struct {
	url     string
	secrets *access.Secrets
	client  *fasthttp.Client
	breaker *gobreaker.CircuitBreaker[[]api.BatchResult]
}

// NewLabeller makes one that asks the mapper at a URL.
func NewLabeller(mapper string, secrets *access.Secrets) *Labeller {
	return &Labeller{
		url: mapper + "/api/v1/map/batch?controls=true", secrets: secrets,
		client: &fasthttp.Client{
			MaxConnsPerHost: 256, MaxConnWaitTimeout: MapperBudget, MaxIdemponentCallAttempts: 1, MaxIdleConnDuration: 30 * time.Second,
			ReadTimeout: MapperBudget, WriteTimeout: MapperBudget, MaxResponseBodySize: mapperResponse, NoDefaultUserAgentHeader: true,
		},
		breaker: gobreaker.NewCircuitBreaker[[]api.BatchResult](gobreaker.Settings{
			Name: "mapper", MaxRequests: 3, Timeout: 2 * time.Second,
			ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 5 },
			IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, errShort) || errors.Is(err, errBusy) },
		}),
	}
}

// Why the mapper has not answered, in a word.
var (
	errShort   = errors.New("no_time") // the request had less left than the mapper may take, which says nothing about the mapper
	errTimeout = errors.New("timeout")
	errClosed  = errors.New("unreachable")
	errBusy    = errors.New("busy")
	errStatus  = errors.New("refused")
	errShape   = errors.New("shape")
	errOpen    = errors.New("circuit_open")
)

// Label returns a mapping or an error for each, in their order. It is an error if the mapper has not answered; its text
// is a word that says why.
func (l *Labeller) Label(ctx context.Context, c access.Caller, requestID string, said []Said) ([]api.BatchResult, error) {
	var all []api.BatchResult
	for len(said) > 0 {
		body, n, err := batch(said)
		if err != nil {
			return nil, err
		}
		results, err := l.breaker.Execute(func() ([]api.BatchResult, error) { return l.ask(ctx, c, requestID, body, n) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			err = errOpen
		}
		if err != nil {
			return nil, err
		}
		all, said = append(all, results...), said[n:]
	}
	return all, nil
}

// batch writes as many requests as one batch takes.
func batch(said []Said) (body []byte, n int, err error) {
	body = append(body, `{"requests":[`...)
	for _, s := range said {
		output, err := wire.Encode(s.Output)
		if err != nil {
			return nil, 0, err
		}
		item, err := json.Marshal(api.MapRequest{Detector: s.Detector, Raw: output})
		if err != nil {
			return nil, 0, err
		}
		if n == api.MaxBatch || n > 0 && len(body)+len(item) > mapperBody {
			break
		}
		if n++; n > 1 {
			body = append(body, ',')
		}
		body = append(body, item...)
	}
	return append(body, "]}"...), n, nil
}

func (l *Labeller) ask(ctx context.Context, c access.Caller, requestID string, body []byte, n int) ([]api.BatchResult, error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI(l.url)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set("X-API-Key", l.secrets.Pass(c, time.Now()))
	req.Header.Set("X-Request-ID", requestID)
	req.SetBodyRaw(body)
	deadline, whole := time.Now().Add(MapperBudget), true
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline, whole = d, false
	}
	err := l.client.DoDeadline(req, res, deadline)
	switch {
	case errors.Is(err, fasthttp.ErrTimeout) && !whole:
		return nil, errShort
	case errors.Is(err, fasthttp.ErrTimeout):
		return nil, errTimeout
	case err != nil:
		return nil, errClosed
	case res.StatusCode() == fasthttp.StatusTooManyRequests:
		return nil, errBusy
	case res.StatusCode() != fasthttp.StatusOK:
		return nil, errStatus
	}
	var out api.MapBatchResponse
	if err := json.Unmarshal(res.Body(), &out); err != nil || len(out.Results) != n {
		return nil, errShape
	}
	return out.Results, nil
}
