//! Requests of a certain shape: one value in every column, dictionaries of every width, values of every
//! depth, and messages that ask for more memory than they have bytes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use spanmill_schema::tables::{RESOURCES, TRACES};

use super::block::{self, Row, Value, get};
use super::expected::expected;
use super::{Known, NOW, assert_holds, decode, seal};
use crate::columns::Columns;
use crate::decode::{DecodeError, VALUE_DEPTH_MAX, walk_traces};

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        key_strindex: 0,
    }
}

fn string(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn one_span(
    resource: Resource,
    scope: InstrumentationScope,
    span: Span,
) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: vec![span],
                schema_url: "scope-url".to_owned(),
            }],
            schema_url: "resource-url".to_owned(),
        }],
    }
}

/// A span with valid ids and nothing else.
fn span() -> Span {
    Span {
        trace_id: vec![0x1a; 16],
        span_id: vec![0x1b; 8],
        ..Span::default()
    }
}

/// `depth` arrays or maps (where `map` says so) inside one another.
pub(super) fn nested(depth: usize, map: fn(usize) -> bool) -> AnyValue {
    let mut value = any(Any::StringValue("core".to_owned()));
    for level in 0..depth {
        value = any(if map(level) {
            Any::KvlistValue(KeyValueList {
                values: vec![KeyValue {
                    key: "in".to_owned(),
                    value: Some(value),
                    key_strindex: 0,
                }],
            })
        } else {
            Any::ArrayValue(ArrayValue {
                values: vec![value],
            })
        });
    }
    value
}

/// A request with one span that has another value in every column.
pub(super) fn full() -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            string("service.name", "service"),
            string("r-key", "r-value"),
        ],
        dropped_attributes_count: 11,
        entity_refs: Vec::new(),
    };
    let scope = InstrumentationScope {
        name: "scope".to_owned(),
        version: "version".to_owned(),
        attributes: vec![attribute("s-key", Any::BoolValue(true))],
        dropped_attributes_count: 12,
    };
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
    let span = Span {
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
    };
    one_span(resource, scope, span)
}

fn n(number: u64) -> Value {
    Value::Number(number)
}

fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn f(byte: u8, length: usize) -> Value {
    Value::Fixed(vec![byte; length])
}

fn l<const N: usize>(values: [Value; N]) -> Value {
    Value::List(values.into())
}

fn m<const N: usize>(entries: [(&str, &str); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (t(key), t(value))).into())
}

/// Scenario: one span and one resource whose every column holds a value of its own, written out here.
/// Guarantees: the writers' order is the tables' order; two columns of one type are not exchanged.
#[test]
fn columns_are_written_in_the_order_of_their_table() {
    let mut columns = Columns::default();
    walk_traces(&full().encode_to_vec(), &mut columns, NOW).unwrap();
    let read = seal(&mut columns);
    let id = get(&read.resources[0], "ResourceId").clone();
    let resource = [
        id.clone(),
        n(NOW.into()),
        t("service"),
        m([("r-key", "r-value"), ("service.name", "service")]),
        l([n(0), n(0)]),
        t("resource-url"),
        n(11),
    ];
    let span = [
        n(16),
        f(0x1a, 16),
        f(0x1b, 8),
        f(0x1c, 8),
        t("span-state"),
        n(14),
        t("name"),
        n(15),
        t("service"),
        id,
        t("scope"),
        t("version"),
        t("scope-url"),
        m([("s-key", "true")]),
        l([n(1)]),
        n(12),
        n(17),
        n(25),
        t("status"),
        t("method"),
        n(13),
        t("route"),
        t("path"),
        t("address"),
        t("system"),
        t("rpc"),
        t("destination"),
        m([("a-key", "0.5"), ("a-map", r#"{"in":["core"]}"#)]),
        l([n(3), n(6)]),
        n(18),
        n(21),
        n(24),
        l([n(19)]),
        l([t("event")]),
        l([m([("e-key", "/w==")])]),
        l([l([n(4)])]),
        l([n(20)]),
        l([f(0x1d, 16)]),
        l([f(0x1e, 8)]),
        l([t("link-state")]),
        l([n(23)]),
        l([m([("l-key", "-1")])]),
        l([l([n(2)])]),
        l([n(22)]),
    ];
    let named = |table: &'static spanmill_schema::tables::Table, values: &[Value]| -> Row {
        assert_eq!(table.columns.len(), values.len());
        let names = table.columns.iter().map(|column| column.name);
        names.zip(values.iter().cloned()).collect()
    };
    assert_eq!(read.resources, [named(&RESOURCES, &resource)]);
    assert_eq!(read.spans, [named(&TRACES, &span)]);
}

/// Scenario: as many distinct event names as need one, two and four bytes a key, and attributes of more
/// than one frame, some larger than a frame by themselves.
/// Guarantees: every row reads back, and no frame is larger than ClickHouse's own.
#[test]
fn wide_dictionaries_and_long_columns_read_back() {
    for names in [256, 257, 65_536, 65_537] {
        let event = |index| Event {
            name: format!("event {index}"),
            ..Event::default()
        };
        let long = |index: usize| string(&format!("key {index}"), &"long ".repeat(index * 10_000));
        let span = Span {
            events: (0..names).map(event).collect(),
            attributes: (0..30).map(long).collect(),
            ..span()
        };
        let request = one_span(Resource::default(), InstrumentationScope::default(), span);
        let mut columns = Columns::default();
        walk_traces(&request.encode_to_vec(), &mut columns, NOW).unwrap();
        let chunk = columns.seal().unwrap();
        let sealed = chunk.sealed.last().unwrap();
        let (plain, frames) = block::unpack(&sealed.frames);
        assert!(frames > plain.len() >> 20);
        let rows = block::rows(sealed.table, &plain);
        for (stored, wanted) in ["Events.Name", "SpanAttributes"].iter().map(|name| {
            let wanted = &expected(&request).unwrap()[0].span;
            (get(&rows[0], name).clone(), get(wanted, name).clone())
        }) {
            assert!(stored == wanted, "{names} names");
        }
    }
}

/// Scenario: arrays and maps as deep as is allowed, and one level deeper.
/// Guarantees: the former are stored, the latter refused.
#[test]
fn values_nest_up_to_the_bound() {
    let walk = |value| {
        let span = Span {
            attributes: vec![KeyValue {
                value: Some(value),
                ..string("deep", "")
            }],
            ..span()
        };
        let request = one_span(Resource::default(), InstrumentationScope::default(), span);
        let mut columns = Columns::default();
        let outcome = walk_traces(&request.encode_to_vec(), &mut columns, NOW);
        if outcome.is_ok() {
            let rows = expected(&request).unwrap();
            assert_holds(&seal(&mut columns), &rows, NOW, &mut Known::new());
        }
        outcome
    };
    for map in [|_| false, |_| true, |level| level % 2 == 0] {
        assert_eq!(walk(nested(VALUE_DEPTH_MAX, map)), Ok(1));
        assert_eq!(
            walk(nested(VALUE_DEPTH_MAX + 1, map)),
            Err(DecodeError::TooDeep)
        );
    }
}

/// Scenario: one scope with 1 MiB of attributes over 63 and over 65 spans, in one and in two groups.
/// Guarantees: what a request's scopes take in rows has a bound, however it is spread; a refused one
/// leaves nothing.
#[test]
fn scope_attributes_are_not_multiplied_without_bound() {
    let group = |spans| ScopeSpans {
        scope: Some(InstrumentationScope {
            attributes: vec![string("large", &"x".repeat(1 << 20))],
            ..InstrumentationScope::default()
        }),
        spans: vec![span(); spans],
        schema_url: String::new(),
    };
    let walk = |groups: &[usize]| {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: groups.iter().map(|spans| group(*spans)).collect(),
                ..ResourceSpans::default()
            }],
        };
        let mut columns = Columns::default();
        let outcome = walk_traces(&request.encode_to_vec(), &mut columns, NOW);
        assert_eq!(outcome.is_err(), columns.bytes() == 0);
        outcome
    };
    assert_eq!(walk(&[63]), Ok(63));
    assert_eq!(walk(&[65]), Err(DecodeError::ScopeTooLarge));
    assert_eq!(walk(&[32, 33]), Err(DecodeError::ScopeTooLarge));
}

/// Scenario: pieces of one value that are messages only when they are put together.
/// Guarantees: an error, as for prost: each piece must be whole.
#[test]
fn pieces_of_a_message_are_whole_messages() {
    // KeyValue { value: AnyValue "ab" }, whole, in two whole pieces, and cut inside the string.
    for (attribute, good) in [
        (&[0x12, 4, 0x0a, 2, b'a', b'b'][..], true),
        (&[0x12, 0, 0x12, 4, 0x0a, 2, b'a', b'b'], true),
        (&[0x12, 3, 0x0a, 2, b'a', 0x12, 1, b'b'], false),
    ] {
        let mut span = span().encode_to_vec();
        span.extend([0x4a, attribute.len() as u8]);
        span.extend(attribute);
        let mut body = span;
        for field in [2, 2, 1] {
            body.splice(0..0, [field << 3 | 2, body.len() as u8]);
        }
        assert_eq!(decode(&body).is_ok(), good);
        assert_eq!(
            walk_traces(&body, &mut Columns::default(), NOW).is_ok(),
            good
        );
    }
}
