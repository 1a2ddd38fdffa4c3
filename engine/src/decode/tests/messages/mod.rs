//! Strategies for requests: small trees with everything in them that OTLP allows and senders get wrong,
//! short of what makes a request refused.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use spanmill_schema::tables::PROMOTED_SPAN_ATTRIBUTES;

pub(super) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..4)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let parts = (option::of(resource()), vec(scope_spans(), 0..3), text());
    parts.prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    let parts = (attributes(), count(), vec(entity_ref(), 0..2));
    parts.prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn entity_ref() -> impl Strategy<Value = EntityRef> {
    (text(), vec(text(), 0..2)).prop_map(|(schema_url, id_keys)| EntityRef {
        schema_url,
        id_keys,
        ..EntityRef::default()
    })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let parts = (option::of(scope()), vec(span(), 0..4), text());
    parts.prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    })
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    let parts = (text(), text(), attributes(), count());
    parts.prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), parent(), text(), any::<u32>());
    let head = (text(), code(), time(), time(), option::of(status()));
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let dropped = (count(), count(), count());
    (ids, head, lists, dropped).prop_map(|(ids, head, lists, dropped)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        trace_state: ids.3,
        flags: ids.4,
        name: head.0,
        kind: head.1,
        start_time_unix_nano: head.2,
        end_time_unix_nano: head.3,
        status: head.4,
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
        dropped_attributes_count: dropped.0,
        dropped_events_count: dropped.1,
        dropped_links_count: dropped.2,
    })
}

fn status() -> impl Strategy<Value = Status> {
    (text(), code()).prop_map(|(message, code)| Status { message, code })
}

fn event() -> impl Strategy<Value = Event> {
    let parts = (time(), text(), attributes(), count());
    parts.prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    let id = |length| vec(any::<u8>(), length);
    let parts = (id(16), id(8), text(), attributes(), count(), any::<u32>());
    parts.prop_map(|parts| Link {
        trace_id: parts.0,
        span_id: parts.1,
        trace_state: parts.2,
        attributes: parts.3,
        dropped_attributes_count: parts.4,
        flags: parts.5,
    })
}

/// An id that names something.
fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), length), 0..length).prop_map(|(mut id, at)| {
        id[at] |= 1;
        id
    })
}

fn parent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), Just(vec![0; 8]), id(8)]
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => select(vec!["GET /", "cart", "1", "https://schema/1.30.0", "a\"\\\n\u{1}\u{7f}"])
            .prop_map(str::to_owned),
        2 => vec(any::<char>(), 1..8).prop_map(|chars| chars.into_iter().collect()),
        1 => (100..300usize).prop_map(|length| "é".repeat(length)),
    ]
    .boxed()
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1_700_000_000_000_000_000..1_700_000_000_000_001_000u64,
        1 => select(vec![0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX]),
        1 => any::<u64>(),
    ]
}

/// A value of an enum, known or not.
fn code() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0..6i32, 1 => select(vec![-1, 255, 256, i32::MIN, i32::MAX])]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..200u32, Just(u32::MAX)]
}

fn key() -> impl Strategy<Value = String> {
    let promoted = PROMOTED_SPAN_ATTRIBUTES.iter().map(|promoted| promoted.key);
    prop_oneof![
        3 => select(promoted.collect::<Vec<_>>()).prop_map(str::to_owned),
        2 => select(vec!["service.name", "host.name", "k", ""]).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn attributes() -> BoxedStrategy<Vec<KeyValue>> {
    vec(key_value(value()), 0..5).boxed()
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    let index = prop_oneof![9 => Just(0), 1 => any::<i32>()];
    (key(), option::weighted(0.95, value), index).prop_map(|(key, value, key_strindex)| KeyValue {
        key,
        value,
        key_strindex,
    })
}

fn value() -> BoxedStrategy<AnyValue> {
    let nested = leaf().prop_recursive(4, 12, 3, |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|values| ArrayValue { values });
        let map = vec(key_value(inner), 0..4).prop_map(|values| KeyValueList { values });
        prop_oneof![
            array.prop_map(|array| some(Value::ArrayValue(array))),
            map.prop_map(|map| some(Value::KvlistValue(map))),
        ]
    });
    prop_oneof![3 => leaf(), 1 => nested].boxed()
}

fn leaf() -> BoxedStrategy<AnyValue> {
    prop_oneof![
        1 => Just(AnyValue { value: None }),
        5 => text().prop_map(|text| some(Value::StringValue(text))),
        1 => any::<bool>().prop_map(|value| some(Value::BoolValue(value))),
        3 => int().prop_map(|value| some(Value::IntValue(value))),
        2 => double().prop_map(|value| some(Value::DoubleValue(value))),
        1 => vec(any::<u8>(), 0..9).prop_map(|bytes| some(Value::BytesValue(bytes))),
        1 => any::<i32>().prop_map(|index| some(Value::StringValueStrindex(index))),
    ]
    .boxed()
}

fn some(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn int() -> impl Strategy<Value = i64> {
    let edges = vec![0, 1, -1, 200, 65_535, 65_536, 65_736, i64::MIN, i64::MAX];
    prop_oneof![3 => select(edges), 1 => any::<i64>()]
}

fn double() -> impl Strategy<Value = f64> {
    let edges = vec![
        0.0, -0.0, 1.0, 0.1, 1e-5, 1e-6, 1e-7, 1e15, 1e16, 1e20, 1e21, 5e-324,
    ];
    prop_oneof![
        2 => select(edges),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN]),
        1 => -1e6..1e6f64,
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}
