//! Logs: sent through the SDK, and read back.
//!
//! The SDK for Rust never sends: empty values, counts of dropped attributes, flags past the first eight.

mod sent;
mod stored;

use opentelemetry_otlp::{LogExporter, Protocol};

pub(crate) use sent::send_everything;
pub(crate) use stored::assert_stored;

use crate::support::Stack;
use crate::way::Way;

pub(crate) fn exporter(stack: &Stack, way: Way) -> LogExporter {
    let builder = LogExporter::builder();
    let exporter = match way.protocol {
        Protocol::Grpc => way.over_grpc(stack, builder.with_tonic()).build(),
        _ => way
            .over_http(stack, "/v1/logs", builder.with_http())
            .build(),
    };
    exporter.expect("an exporter")
}
