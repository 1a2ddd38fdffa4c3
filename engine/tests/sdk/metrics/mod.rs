//! Metrics: measured and sent through the SDK, and read back.
//!
//! The SDK for Rust never sends: exemplars, metadata, a zero threshold, flags, summaries, histograms
//! without a sum, numbers that are not finite, unsigned integers past `i64::MAX` (it sends 0), and counts
//! of dropped attributes. The Python SDK and the walk's property tests cover those.

mod expected;
mod measured;
mod sent;
mod stored;

use opentelemetry_otlp::{MetricExporter, Protocol};
use opentelemetry_sdk::metrics::Temporality;

pub(crate) use sent::send_everything;
pub(crate) use stored::assert_stored;

use crate::support::Stack;
use crate::way::Way;

pub(crate) fn exporter(stack: &Stack, way: Way, temporality: Temporality) -> MetricExporter {
    let builder = MetricExporter::builder().with_temporality(temporality);
    let exporter = match way.protocol {
        Protocol::Grpc => way.over_grpc(stack, builder.with_tonic()).build(),
        _ => way
            .over_http(stack, "/v1/metrics", builder.with_http())
            .build(),
    };
    exporter.expect("an exporter")
}
