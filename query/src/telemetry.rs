//! The server's own traces and metrics: a span for each request and for each query of it, and how long both took,
//! sent by OTLP over HTTP from threads of their own. Probes and the sending itself make no spans, so that it never
//! feeds on itself; what cannot be sent is dropped.

use std::future::Future;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::error::Error;

const NAME: &str = "spanmill-query";
/// Bounds of the histograms in seconds, as the semantic conventions advise.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Makes spans and sends them.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    tracer: SdkTracer,
    requests: Histogram<f64>,
    queries: Histogram<f64>,
}

impl Telemetry {
    /// `endpoint` is the base of an OTLP receiver over HTTP, such as `http://127.0.0.1:4318`. Needs a thread that
    /// runs no asynchronous tasks.
    pub(crate) fn start(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let endpoint = endpoint.trim_end_matches('/');
        let resource = Resource::builder()
            .with_service_name(NAME)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let spans = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        let points = MetricExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .build()?;
        let traces = SdkTracerProvider::builder()
            .with_batch_exporter(spans)
            .with_resource(resource.clone())
            .build();
        let metrics = SdkMeterProvider::builder()
            .with_periodic_exporter(points)
            .with_resource(resource)
            .build();
        let meter = metrics.meter(NAME);
        let seconds = |name: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Ok(Self {
            tracer: traces.tracer(NAME),
            requests: seconds("http.server.request.duration"),
            queries: seconds("db.client.operation.duration"),
            traces,
            metrics,
        })
    }

    /// Answers a request within a span, below the caller's if it told.
    pub(crate) async fn request(&self, request: Request, next: Next) -> Response {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        let caller = TraceContextPropagator::new().extract(&Headers(request.headers()));
        let about = [
            KeyValue::new("http.request.method", request.method().to_string()),
            KeyValue::new("http.route", route.clone()),
        ];
        let span = self
            .tracer
            .span_builder(format!("{} {route}", request.method()))
            .with_kind(SpanKind::Server)
            .with_attributes(about.clone())
            .start_with_context(&self.tracer, &caller);
        let context = caller.with_span(span);
        let begun = Instant::now();
        let response = next.run(request).with_context(context.clone()).await;
        let status = response.status();
        let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
        let span = context.span();
        span.set_attribute(code.clone());
        if status.is_server_error() {
            span.set_status(Status::error(status.to_string()));
        }
        span.end();
        let [method, route] = about;
        let took = begun.elapsed().as_secs_f64();
        self.requests.record(took, &[method, route, code]);
        response
    }

    /// Runs a query within a span below the request's.
    pub(crate) async fn query<T>(
        &self,
        name: &'static str,
        parent: Context,
        run: impl Future<Output = Result<Vec<T>, Error>>,
    ) -> Result<Vec<T>, Error> {
        let about = [
            KeyValue::new("db.system.name", "clickhouse"),
            KeyValue::new("db.query.summary", name),
        ];
        let mut span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Client)
            .with_attributes(about.clone())
            .start_with_context(&self.tracer, &parent);
        let begun = Instant::now();
        let rows = run.await;
        match &rows {
            Ok(rows) => {
                let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                span.set_attribute(KeyValue::new("db.response.returned_rows", count));
            }
            Err(error) => span.set_status(Status::error(error.to_string())),
        }
        span.end();
        self.queries.record(begun.elapsed().as_secs_f64(), &about);
        rows
    }

    /// Sends what is left, for a few seconds at most.
    pub(crate) fn shutdown(&self) {
        let results = [self.traces.shutdown(), self.metrics.shutdown()];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "the query server's own telemetry was not sent whole");
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
