//! Traces: sent through the SDK, and read back.

mod sent;
mod stored;

use opentelemetry_otlp::{Protocol, SpanExporter};

pub(crate) use sent::{send_everything, send_past_limits};
pub(crate) use stored::assert_stored;

use crate::support::Stack;
use crate::way::Way;

pub(crate) fn exporter(stack: &Stack, way: Way) -> SpanExporter {
    let builder = SpanExporter::builder();
    let exporter = match way.protocol {
        Protocol::Grpc => way.over_grpc(stack, builder.with_tonic()).build(),
        _ => way
            .over_http(stack, "/v1/traces", builder.with_http())
            .build(),
    };
    exporter.expect("an exporter")
}
