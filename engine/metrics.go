package engine

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what an operator sees of an engine; none has a label from outside.
type metrics struct {
	queue, prefill, decode prometheus.Observer
	rows                   prometheus.Histogram
	prompt, answer         prometheus.Counter
	reused, redecoded      prometheus.Counter
	decodeCPU              prometheus.Counter
	ended                  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, queue, background chan *request, rows int) *metrics {
	auto := promauto.With(reg)
	seconds := auto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "llm_request_seconds", Help: "Time of a request in each phase.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
	}, []string{"phase"})
	tokens := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "llm_tokens_total", Help: "Tokens decoded for finished requests: of prompts, and of answers (forced runs and branches).",
	}, []string{"kind"})
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "llm_queue_depth", Help: "Requests that wait for a lane."},
		func() float64 { return float64(len(queue)) })
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "llm_background_depth", Help: "Requests of the background that wait for a lane."},
		func() float64 { return float64(len(background)) })
	return &metrics{
		queue: seconds.WithLabelValues("queue"), prefill: seconds.WithLabelValues("prefill"), decode: seconds.WithLabelValues("decode"),
		prompt: tokens.WithLabelValues("prompt"), answer: tokens.WithLabelValues("answer"),
		rows: auto.NewHistogram(prometheus.HistogramOpts{
			Name: "llm_batch_rows", Help: "Rows of a decode.", Buckets: prometheus.ExponentialBucketsRange(1, float64(max(rows, 2)), 7),
		}),
		reused:    auto.NewCounter(prometheus.CounterOpts{Name: "llm_prefix_tokens_reused_total", Help: "Tokens of the shared prefix that requests did not decode."}),
		redecoded: auto.NewCounter(prometheus.CounterOpts{Name: "llm_redecoded_total", Help: "Requests decoded again alone, because noise could have changed their answer."}),
		decodeCPU: auto.NewCounter(prometheus.CounterOpts{Name: "llm_decode_cpu_seconds_total", Help: "CPU time that the lanes' threads spent inside the model."}),
		ended: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "llm_requests_total", Help: "Requests by how they ended: answered, busy (queue full), expired, cancelled, closed, failed.",
		}, []string{"result"}),
	}
}

func (m *metrics) end(err error) {
	result := "failed"
	switch {
	case err == nil:
		result = "answered"
	case errors.Is(err, context.DeadlineExceeded):
		result = "expired"
	case errors.Is(err, context.Canceled):
		result = "cancelled"
	case errors.Is(err, ErrClosed):
		result = "closed"
	}
	m.ended.WithLabelValues(result).Inc()
}
