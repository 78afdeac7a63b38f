package fanout

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// remoteName stands for the detectors of tenants, whose names are theirs.
const remoteName = "remote"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  prometheus.Counter
	hedges   *prometheus.CounterVec
	open     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	to := promauto.With(reg)
	return metrics{
		requests: to.NewCounterVec(prometheus.CounterOpts{Name: "detector_requests_total", Help: "Contents by detector and what became of them."}, []string{"detector", "status"}),
		seconds: to.NewHistogramVec(prometheus.HistogramOpts{
			Name: "detector_seconds", Help: "Time of a detector over one content.", Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .25, .5, 1, 2, 5},
		}, []string{"detector"}),
		retries: to.NewCounter(prometheus.CounterOpts{Name: "detector_retries_total", Help: "Attempts after one that failed."}),
		hedges:  to.NewCounterVec(prometheus.CounterOpts{Name: "detector_hedges_total", Help: "Second attempts beside a slow first one: won, lost, or failed as the first did."}, []string{"result"}),
		open:    to.NewGauge(prometheus.GaugeOpts{Name: "detector_breaker_open", Help: "Remote detectors that are not asked, or on trial, because they failed."}),
	}
}

func (m metrics) called(c Call, r Result) {
	name := remoteName
	if c.Local {
		name = c.Source.Name()
	}
	m.requests.WithLabelValues(name, string(r.Status)).Inc()
	m.seconds.WithLabelValues(name).Observe(r.Took.Seconds())
}
