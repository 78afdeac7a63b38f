package trace

import (
	"context"
	"errors"
	"log/slog"
	"net"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter stands between the queue and the collector. It keeps failures from OpenTelemetry's global handler, which
// would print what the collector answered, and can end an export that the queue still waits for.
type exporter struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	ended   context.Context // not a request's: it lives as long as the exporter
	abandon context.CancelFunc
	failing bool // the last batch was lost; the queue exports one batch at a time
}

func newExporter(to sdktrace.SpanExporter, log *slog.Logger) *exporter {
	e := &exporter{SpanExporter: to, log: log}
	e.ended, e.abandon = context.WithCancel(context.Background())
	return e
}

// ExportSpans sends a batch. The log has a line when batches begin to be lost and one when that is over.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ended, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !e.failing:
		e.log.Warn("the collector does not take spans; they are lost until it does", "reason", reason(ctx, err), "lost", len(spans))
	case err == nil && e.failing:
		e.log.Info("the collector takes spans again")
	}
	e.failing = err != nil
	return nil
}

// reason puts a failure into a closed set: its text may quote the collector.
func reason(ctx context.Context, err error) string {
	var timeout net.Error
	var network *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "stopped"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &network):
		return "no connection"
	}
	return "refused"
}
