//! Requests to send: good ones with one span under a trace id of their own, and broken ones that hold such
//! a span as well, so that a part that was stored would be seen.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// An id that no other request has.
pub fn new_trace_id() -> [u8; 16] {
    uuid::Uuid::new_v4().into_bytes()
}

/// A good span of now.
pub fn span(trace_id: [u8; 16]) -> Span {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_nanos() as u64;
    Span {
        trace_id: trace_id.to_vec(),
        span_id: vec![7; 8],
        name: "a span".into(),
        start_time_unix_nano: now,
        end_time_unix_nano: now + 1_000_000,
        ..Span::default()
    }
}

/// A good request with one span.
pub fn good(trace_id: [u8; 16]) -> Vec<u8> {
    request(vec![span(trace_id)])
}

/// A good request of at least `bytes` bytes with one span.
pub fn large(trace_id: [u8; 16], bytes: usize) -> Vec<u8> {
    let mut span = span(trace_id);
    span.attributes = vec![attribute(Value::StringValue("x".repeat(bytes)))];
    request(vec![span])
}

/// A good request of exactly `bytes` bytes.
pub fn exactly(trace_id: [u8; 16], bytes: usize) -> Vec<u8> {
    let around = large(trace_id, bytes).len() - bytes;
    let request = large(trace_id, bytes - around);
    assert_eq!(request.len(), bytes, "the lengths of lengths changed");
    request
}

/// A good request of about `bytes` bytes and no more, with nothing in it to store: a field that OTLP does
/// not have.
pub fn nothing(bytes: usize) -> Vec<u8> {
    field(1000, &vec![0; bytes - 10])
}

/// A request of these spans.
pub fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = ScopeSpans {
        spans,
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
    .encode_to_vec()
}

fn attribute(value: Value) -> KeyValue {
    KeyValue {
        key: "key".into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A body that must be refused.
pub struct Bad {
    /// What is wrong with it.
    pub fault: String,
    /// The trace id of its good span.
    pub trace_id: [u8; 16],
    /// The protobuf.
    pub body: Vec<u8>,
}

/// Every way in which bytes are no protobuf, each after a good span.
pub fn bad_bodies() -> Vec<Bad> {
    let mut bodies = Vec::new();
    let mut add = |fault: &str, body: &dyn Fn([u8; 16]) -> Vec<u8>| {
        let trace_id = new_trace_id();
        let body = body(trace_id);
        let fault = fault.to_owned();
        bodies.push(Bad {
            fault,
            trace_id,
            body,
        });
    };
    for (fault, bytes) in broken_fields() {
        add(&format!("{fault}, in a span"), &|id| {
            with_second_span(id, &[&span(id).encode_to_vec()[..], &bytes].concat())
        });
        add(&format!("{fault}, in the request"), &|id| {
            [&good(id)[..], &bytes].concat()
        });
    }
    for keep in [1, 2] {
        add("the body is cut short", &|id| {
            let body = good(id);
            body[..body.len() * keep / 3].to_vec()
        });
    }
    add("the last byte is missing", &|id| {
        let mut body = good(id);
        body.pop();
        body
    });
    bodies
}

/// What no message may end with.
pub fn broken_fields() -> Vec<(&'static str, Vec<u8>)> {
    let groups = |start: &[u8]| start.repeat(10_000);
    vec![
        ("a tag without its value", vec![0x50]),
        (
            "a varint that never ends",
            [vec![0x50], vec![0x80; 64]].concat(),
        ),
        (
            "a varint past 64 bits",
            [&[0x50][..], &[0xff; 9], &[0x02]].concat(),
        ),
        ("a length past the end", vec![0x2a, 0x7f, b'x']),
        (
            "a length of 64 bits",
            [&[0x2a][..], &[0xff; 9], &[0x01]].concat(),
        ),
        ("field number 0", vec![0x02, 0x00]),
        (
            "a field number past 29 bits",
            vec![0x80, 0x80, 0x80, 0x80, 0x10, 0x00],
        ),
        ("wire type 6", vec![0x56, 0x00]),
        ("wire type 7", vec![0x57, 0x00]),
        ("another wire type than its field has", vec![0x08, 0x01]),
        ("a fixed64 cut short", vec![0xf9, 0x07, 1, 2, 3]),
        ("a group that is never closed", vec![0xfb, 0x07, 0x50, 0x01]),
        ("a group closed that is not open", vec![0xfc, 0x07]),
        ("groups nested without end", groups(&[0xfb, 0x07])),
    ]
}

/// A request whose second span is these bytes.
fn with_second_span(trace_id: [u8; 16], second: &[u8]) -> Vec<u8> {
    let spans = [field(2, &span(trace_id).encode_to_vec()), field(2, second)].concat();
    field(1, &field(2, &spans))
}

/// A length-delimited field.
fn field(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let tag = prost::encoding::WireType::LengthDelimited;
    prost::encoding::encode_key(number, tag, &mut bytes);
    prost::encoding::encode_varint(payload.len() as u64, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}
