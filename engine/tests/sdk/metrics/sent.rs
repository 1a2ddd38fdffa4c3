//! Sends measurements through the SDK in two rounds, and says what is expected to be stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use serde_json::{Value, json};

use super::expected::points;
use super::measured::{measure, measure_elsewhere, observe, view};
use crate::origin::{resource, scope};
use crate::rows::{nanos, text, with};

/// Nothing is collected but when the test asks.
const NEVER: Duration = Duration::from_secs(86_400);

/// Measures with every instrument and exports, twice. What comes with the points collects and sends once
/// more when it is dropped.
pub(crate) fn send_everything(
    exporter: MetricExporter,
    service: &str,
) -> (Vec<Value>, SdkMeterProvider) {
    let preference = exporter.temporality();
    let collections = Collections::default();
    let watched = Watched {
        exporter,
        collections: Arc::clone(&collections),
    };
    let reader = PeriodicReader::builder(watched).with_interval(NEVER);
    let provider = SdkMeterProvider::builder()
        .with_resource(resource(service))
        .with_reader(reader.build())
        .with_view(view)
        .build();
    let meter = provider.meter_with_scope(scope());
    let round = Arc::new(AtomicU64::new(0));
    observe(&meter, &round);
    for _ in 0..2 {
        round.fetch_add(1, Ordering::SeqCst);
        measure(&meter);
        measure_elsewhere(&provider.meter("elsewhere"));
        provider.force_flush().expect("the export is acknowledged");
    }

    let collections = collections.lock().expect("no exporter panicked");
    assert_eq!(collections.len(), 2);
    let rounds = (1..).zip(collections.iter());
    let rows = rounds.flat_map(|(round, times)| {
        let timed = |point: Value| {
            let key = (text(&point, "metric").to_owned(), scope_name(&point));
            let (start, time) = times[&key];
            with(point, json!({"start": start, "time": time}))
        };
        let points = points(service, preference, round);
        points.into_iter().map(timed).collect::<Vec<_>>()
    });
    (rows.collect(), provider)
}

fn scope_name(point: &Value) -> String {
    point["scope"][0].as_str().expect("a name").to_owned()
}

/// Per collection, by name of metric and scope: when it began and ended, in Unix nanoseconds.
type Collections = Arc<Mutex<Vec<HashMap<(String, String), (u64, u64)>>>>;

/// The SDK takes these times itself: this notes them before the exporter encodes them.
struct Watched {
    exporter: MetricExporter,
    collections: Collections,
}

impl PushMetricExporter for Watched {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut collection = HashMap::new();
        for scope in metrics.scope_metrics() {
            for metric in scope.metrics() {
                let (start, time) = match metric.data() {
                    AggregatedMetrics::F64(data) => times(data),
                    AggregatedMetrics::I64(data) => times(data),
                    AggregatedMetrics::U64(data) => times(data),
                };
                let key = (metric.name().to_owned(), scope.scope().name().to_owned());
                collection.insert(key, (start.map_or(0, nanos), nanos(time)));
            }
        }
        let collections = self.collections.lock();
        collections.expect("nobody panicked").push(collection);
        self.exporter.export(metrics).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

fn times<T>(data: &MetricData<T>) -> (Option<SystemTime>, SystemTime) {
    match data {
        MetricData::Gauge(data) => (data.start_time(), data.time()),
        MetricData::Sum(data) => (Some(data.start_time()), data.time()),
        MetricData::Histogram(data) => (Some(data.start_time()), data.time()),
        MetricData::ExponentialHistogram(data) => (Some(data.start_time()), data.time()),
    }
}
