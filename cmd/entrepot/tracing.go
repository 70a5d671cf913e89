package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/semconv/v1.37.0"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// traced wraps the API in spans, one a request, that continue the caller's trace, and returns what ends the sending. Without an endpoint it
// is the API itself: tracing costs nothing when nobody asked for it.
func traced(ctx context.Context, c Tracing, api http.Handler) (http.Handler, func(context.Context) error, error) {
	if c.Endpoint == "" {
		return api, nil, nil
	}
	to := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(c.Endpoint)}
	if u, err := url.Parse(c.Endpoint); err == nil && strings.Trim(u.Path, "/") == "" {
		to = append(to, otlptracehttp.WithURLPath("/v1/traces")) // where collectors take them, unless they are told otherwise
	}
	exporter, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, nil, fmt.Errorf("trace to %s: %w", c.Endpoint, err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(semconv.ServiceName("entrepot"), semconv.ServiceVersion(thisBuild().Version))))
	tracer := provider.Tracer("github.com/entrepot/entrepot")
	parents := propagation.TraceContext{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		ctx := parents.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, oteltrace.WithSpanKind(oteltrace.SpanKindServer),
			oteltrace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path)))
		defer span.End()
		status := &statusWriter{ResponseWriter: w}
		api.ServeHTTP(status, r.WithContext(ctx))
		span.SetAttributes(attribute.Int("http.response.status_code", status.code))
		if status.code >= 500 {
			span.SetStatus(codes.Error, http.StatusText(status.code))
		}
	}
	return http.HandlerFunc(handler), provider.Shutdown, nil
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// ReadFrom passes on, so that files still go out by sendfile.
func (w *statusWriter) ReadFrom(src io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, src) }

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
