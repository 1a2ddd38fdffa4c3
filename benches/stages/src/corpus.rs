//! Spans to send: traces of ten spans over skewed services and operations, about 500 bytes and eleven
//! attributes each, the same for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

const SERVICES: usize = 40;
const OPERATIONS: usize = 212;
const SPANS_A_TRACE: usize = 10;
/// Spans that share a resource within a request.
const SPANS_A_RESOURCE: usize = 500;
const NANOS_A_SECOND: u64 = 1_000_000_000;

/// The present time, in Unix nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// `count` encoded requests of `spans` spans each, that start at about `now` (Unix nanoseconds); the same for
/// each run but for the time.
#[must_use]
pub fn requests(count: usize, spans: usize, now: u64) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let bodies = (0..count).map(|_| request(&mut random, spans, now));
    bodies.collect()
}

/// One encoded request of `spans` spans that start at about `now` (Unix nanoseconds).
fn request(random: &mut fastrand::Rng, spans: usize, now: u64) -> Vec<u8> {
    let mut resource_spans = Vec::new();
    let mut left = spans;
    while left > 0 {
        let count = left.min(SPANS_A_RESOURCE);
        left -= count;
        let service = skewed(random, SERVICES);
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            push_trace(random, &mut all, count, now);
        }
        resource_spans.push(ResourceSpans {
            resource: Some(resource(service)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "io.opentelemetry.http".into(),
                    version: "2.11.0".into(),
                    ..InstrumentationScope::default()
                }),
                spans: all,
                schema_url: "https://opentelemetry.io/schemas/1.37.0".into(),
            }],
            ..ResourceSpans::default()
        });
    }
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn push_trace(random: &mut fastrand::Rng, spans: &mut Vec<Span>, until: usize, now: u64) {
    let trace_id = random.u128(1..).to_be_bytes().to_vec();
    let mut parent = Vec::new();
    for depth in 0..SPANS_A_TRACE.min(until - spans.len()) {
        let span_id = random.u64(1..).to_be_bytes().to_vec();
        let start = now - random.u64(0..NANOS_A_SECOND);
        let error = random.u32(0..100) == 0;
        spans.push(Span {
            trace_id: trace_id.clone(),
            span_id: span_id.clone(),
            parent_span_id: parent,
            name: format!("GET /api/v2/resource-{}", skewed(random, OPERATIONS)),
            kind: 2 + (depth % 2) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start + random.u64(50_000..300_000_000),
            attributes: attributes(random, error),
            status: error.then(|| Status {
                code: 2,
                message: "deadline exceeded".into(),
            }),
            flags: 0x101,
            ..Span::default()
        });
        parent = span_id;
    }
}

fn attributes(random: &mut fastrand::Rng, error: bool) -> Vec<KeyValue> {
    let status = if error { 504 } else { 200 };
    let item = random.u32(0..100_000);
    vec![
        text("http.request.method", "GET"),
        int("http.response.status_code", status),
        text(
            "http.route",
            &format!("/api/v2/resource/{}", skewed(random, OPERATIONS)),
        ),
        text("url.path", &format!("/api/v2/resource/{item}")),
        text("url.scheme", "https"),
        text(
            "server.address",
            &format!("backend-{}.internal", skewed(random, SERVICES)),
        ),
        int("server.port", 8443),
        text(
            "network.peer.address",
            &format!("10.1.{}.{}", random.u8(..), random.u8(..)),
        ),
        text("user_agent.original", "okhttp/4.12.0"),
        text("session.id", &format!("{:032x}", random.u128(..))),
        int("http.response.body.size", random.i64(100..50_000)),
    ]
}

fn resource(service: usize) -> Resource {
    let values = [
        ("service.name", format!("service-{service:02}")),
        ("service.namespace", "shop".into()),
        ("service.version", format!("1.{service}.3")),
        (
            "service.instance.id",
            format!("pod-{service}-6d5f7c9b4-x2x{service}"),
        ),
        ("deployment.environment.name", "production".into()),
        ("k8s.cluster.name", "eu-west-1-a".into()),
        ("k8s.namespace.name", "shop".into()),
        (
            "k8s.pod.name",
            format!("service-{service:02}-6d5f7c9b4-x2x{service}"),
        ),
        ("k8s.node.name", format!("ip-10-0-{service}-17.internal")),
        ("telemetry.sdk.language", "java".into()),
        ("telemetry.sdk.name", "opentelemetry".into()),
        ("telemetry.sdk.version", "1.54.0".into()),
    ];
    Resource {
        attributes: values.iter().map(|(key, value)| text(key, value)).collect(),
        ..Resource::default()
    }
}

/// Few values often, many seldom.
fn skewed(random: &mut fastrand::Rng, below: usize) -> usize {
    let position = random.f64();
    (position * position * position * below as f64) as usize
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
