// Package trace tells a collector how long the parts of a request took: spans, by OTLP over HTTP. A span holds names
// from closed sets, numbers and ids, never what a client sent. A collector that is slow or away costs spans, not
// requests. Nothing of OpenTelemetry's global state is used.
package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/llama-mapper/llama-mapper/config"
)

// Bounds of what waits for a collector. A full queue loses the newest spans; a batch that fails is not sent again,
// because what piles up behind it would be lost instead.
const (
	queued        = 2048 // spans, a few MB
	batch         = 256
	batchTimeout  = 2 * time.Second // a span waits so long for its batch to fill
	exportTimeout = 2 * time.Second // for a collector to take a batch
	stopTimeout   = 3 * time.Second // for what is queued at the end
	maxAttribute  = 256             // characters of an attribute
)

// scope is the name under which our spans are made.
const scope = "github.com/llama-mapper/llama-mapper"

// Tracer makes the spans of a service's requests. A nil Tracer makes none.
type Tracer struct {
	provider  *sdktrace.TracerProvider
	spans     oteltrace.Tracer
	exporter  *exporter
	transport *http.Transport
}

// Start begins to send spans to c.Endpoint, at /v1/traces where it has no path of its own; without an endpoint the
// Tracer is nil. It does not wait for the collector. A collector's key may be in OTEL_EXPORTER_OTLP_HEADERS.
func Start(ctx context.Context, c config.Tracing, service, version string, log *slog.Logger) (*Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, errors.New("trace: tracing.endpoint is not a URL") // url's own error would print a password in it
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute}
	sender, err := otlptrace.New(ctx, otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(endpoint.String()),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, Timeout: exportTimeout, CheckRedirect: noRedirect}),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
	))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	exporter := newExporter(sender, log)
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxAttribute
	limits.EventCountLimit = 0 // a panic's value, which may hold content, would be an event
	limits.LinkCountLimit = 0
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", service), attribute.String("service.version", version),
		)),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(queued), sdktrace.WithMaxExportBatchSize(batch),
			sdktrace.WithBatchTimeout(batchTimeout), sdktrace.WithExportTimeout(exportTimeout)),
	)
	return &Tracer{provider: provider, spans: provider.Tracer(scope), exporter: exporter, transport: transport}, nil
}

// noRedirect keeps spans, and a collector's key, where the operator sends them.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Shutdown sends what is queued, for three seconds at most, and ends the Tracer. Spans that end later are lost. That a
// collector does not answer is logged, and no error: it must not make a good end look like a bad one.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	t.exporter.abandon()
	t.transport.CloseIdleConnections()
	if ctx.Err() != nil {
		t.exporter.log.Warn("the collector did not take the last spans in time")
		return nil
	}
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}
