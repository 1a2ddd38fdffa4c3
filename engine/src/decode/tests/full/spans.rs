//! A span that has another value in every field.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::{attribute, nested, string};

/// A span with valid ids and nothing else.
pub(in crate::decode::tests) fn span() -> Span {
    Span {
        trace_id: vec![0x1a; 16],
        span_id: vec![0x1b; 8],
        ..Span::default()
    }
}

pub(in crate::decode::tests) fn items() -> Vec<Span> {
    let promoted = [
        attribute("http.response.status_code", Any::IntValue(13)),
        string("http.request.method", "method"),
        string("http.route", "route"),
        string("url.path", "path"),
        string("server.address", "address"),
        string("db.system.name", "system"),
        string("rpc.method", "rpc"),
        string("messaging.destination.name", "destination"),
    ];
    vec![Span {
        parent_span_id: vec![0x1c; 8],
        trace_state: "span-state".to_owned(),
        flags: 14,
        name: "name".to_owned(),
        kind: 15,
        start_time_unix_nano: 16,
        end_time_unix_nano: 16 + 17,
        attributes: [
            &promoted[..],
            &[attribute("a-key", Any::DoubleValue(0.5))],
            &[KeyValue {
                value: Some(nested(2, |level| level == 1)),
                ..string("a-map", "")
            }],
        ]
        .concat(),
        dropped_attributes_count: 18,
        events: vec![Event {
            time_unix_nano: 19,
            name: "event".to_owned(),
            attributes: vec![attribute("e-key", Any::BytesValue(vec![0xff]))],
            dropped_attributes_count: 20,
        }],
        dropped_events_count: 21,
        links: vec![Link {
            trace_id: vec![0x1d; 16],
            span_id: vec![0x1e; 8],
            trace_state: "link-state".to_owned(),
            attributes: vec![attribute("l-key", Any::IntValue(-1))],
            dropped_attributes_count: 22,
            flags: 23,
        }],
        dropped_links_count: 24,
        status: Some(Status {
            message: "status".to_owned(),
            code: 25,
        }),
        ..span()
    }]
}
