//! Times that lie far apart.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use spanmill_engine::ReactorChoice;

use crate::rows::now;
use crate::support::Stack;
use crate::support::grpc::{Call, GrpcClient, message};
use crate::support::spans;
use crate::{assert_grpc_goes_on, on_each_reactor};

const DAYS: u64 = 120;
const NANOS_A_DAY: u64 = 86_400_000_000_000;

on_each_reactor! {
    a_request_over_many_partitions
}

/// Scenario: one request with spans of 120 days from now on, more than the partitions that ClickHouse by default lets
/// one INSERT touch, the last first.
/// Guarantee: acknowledged, every span stored once and in its partition, and the next request is taken.
fn a_request_over_many_partitions(reactor: ReactorChoice) {
    let stack = Stack::start_with(|config| config.reactor = reactor);
    let id = spans::new_trace_id();
    let last = now() + DAYS * NANOS_A_DAY;
    let scattered = (0..2 * DAYS).map(|at| {
        let mut span = spans::span(id);
        span.span_id = (at + 1).to_be_bytes().to_vec();
        span.start_time_unix_nano = last - at % DAYS * NANOS_A_DAY;
        span
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: scattered.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let answer = client.call(Call::new([message(0, &request.encode_to_vec())]));
    assert_eq!(answer.code(), 0, "{answer:?}");
    let id = uuid::Uuid::from_bytes(id);
    let stored = format!(
        "SELECT count(), uniqExact(SpanId), uniqExact(_partition_id), \
         countIf(toUInt32(_partition_id) != toYYYYMMDD(Timestamp, 'UTC')) \
         FROM spanmill.otel_traces WHERE TraceId = unhex('{}')",
        id.simple()
    );
    let (spans, days) = (2 * DAYS, DAYS);
    assert_eq!(stack.query(&stored), format!("{spans}\t{spans}\t{days}\t0"));
    assert_grpc_goes_on(
        &stack,
        &mut client,
        spans::new_trace_id(),
        "scattered spans",
    );
}
