//! Known traces: a checkout that fails two minutes ago, calling a database, and older ones of the shop
//! alone.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::support::Stack;

/// The failed checkout, and the others from newest to oldest.
pub(crate) const CHECKOUT: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const OLDER: [&str; 3] = [
    "00000000000000000000000000000001",
    "00000000000000000000000000000002",
    "00000000000000000000000000000003",
];
pub(crate) const MINUTE: u64 = 60_000_000_000;

pub(crate) struct Known {
    pub(crate) stack: Stack,
    /// When the checkout began, in nanoseconds since 1970, a whole second.
    pub(crate) start: u64,
}

/// Starts everything and stores them.
pub(crate) fn known() -> Known {
    let stack = Stack::start();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let start = (now.as_secs() - 120) * 1_000_000_000;
    stack.store(&request(start));
    Known { stack, start }
}

fn request(start: u64) -> ExportTraceServiceRequest {
    let mut shop = vec![checkout(start)];
    for (index, id) in OLDER.iter().enumerate() {
        // 10 minutes, 100 minutes and 1,000 minutes before, 1, 2 and 3 ms long.
        let earlier = MINUTE * 10_u64.pow(index as u32 + 1);
        shop.push(Span {
            trace_id: bytes(id),
            span_id: vec![index as u8 + 1; 8],
            name: "GET /items".into(),
            kind: 2,
            start_time_unix_nano: start - earlier,
            end_time_unix_nano: start - earlier + (index as u64 + 1) * 1_000_000,
            attributes: vec![text("http.route", "/items")],
            ..Span::default()
        });
    }
    let select = Span {
        trace_id: bytes(CHECKOUT),
        span_id: b"selected".to_vec(),
        parent_span_id: b"checkout".to_vec(),
        name: "SELECT".into(),
        kind: 3,
        start_time_unix_nano: start + 1_000_000,
        end_time_unix_nano: start + 2_000_000,
        attributes: vec![text("db.system.name", "postgresql")],
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![
            of(
                "shop",
                vec![text("host.name", "a"), any("replica", Value::IntValue(7))],
                shop,
            ),
            of("db", vec![], vec![select]),
        ],
    }
}

/// A trace of two services whose spans begin `gap` nanoseconds apart.
pub(crate) fn apart(start: u64, gap: u64) -> ExportTraceServiceRequest {
    let span = |service: &str, number: u8, start: u64| {
        let span = Span {
            trace_id: bytes(&CHECKOUT.replace('4', "5")),
            span_id: vec![number; 8],
            parent_span_id: vec![1; if number == 1 { 0 } else { 8 }],
            name: "step".into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_000,
            ..Span::default()
        };
        of(service, vec![], vec![span])
    };
    ExportTraceServiceRequest {
        resource_spans: vec![span("waits", 1, start), span("wakes", 2, start + gap)],
    }
}

fn checkout(start: u64) -> Span {
    Span {
        trace_id: bytes(CHECKOUT),
        span_id: b"checkout".to_vec(),
        trace_state: "vendor=1".into(),
        flags: 1,
        name: "POST /checkout".into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 250_000_000,
        attributes: vec![
            text("user", "it's \\ \"ü\"\t✓"),
            any("cached", Value::BoolValue(true)),
            any("items", Value::IntValue(3)),
            any("total", Value::DoubleValue(12.5)),
            text("http.route", "/checkout"),
            any("http.response.status_code", Value::IntValue(500)),
        ],
        events: vec![Event {
            time_unix_nano: start + 5_000_000,
            name: "exception".into(),
            attributes: vec![text("exception.type", "Declined")],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: bytes(OLDER[0]),
            span_id: vec![1; 8],
            trace_state: "vendor=2".into(),
            attributes: vec![any("retry", Value::IntValue(2))],
            dropped_attributes_count: 4,
            flags: 257,
        }],
        status: Some(Status {
            code: 2,
            message: "declined".into(),
        }),
        ..Span::default()
    }
}

fn of(service: &str, more: Vec<KeyValue>, spans: Vec<Span>) -> ResourceSpans {
    let mut attributes = vec![text("service.name", service)];
    attributes.extend(more);
    let of_scope = (service == "shop").then(|| any("module", Value::IntValue(5)));
    ResourceSpans {
        resource: Some(Resource {
            attributes,
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "tests".into(),
                version: "1.2".into(),
                attributes: of_scope.into_iter().collect(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn bytes(id: &str) -> Vec<u8> {
    u128::from_str_radix(id, 16)
        .expect("hex")
        .to_be_bytes()
        .to_vec()
}

fn text(key: &str, value: &str) -> KeyValue {
    any(key, Value::StringValue(value.into()))
}

fn any(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
