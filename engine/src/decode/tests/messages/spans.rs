//! Strategies for spans.

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::values::{attributes, code, count, id, text, time};

pub(in crate::decode::tests) fn item() -> BoxedStrategy<Span> {
    span().boxed()
}

pub(in crate::decode::tests) fn set_time(span: &mut Span, time: u64) {
    span.start_time_unix_nano = time;
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

fn parent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), Just(vec![0; 8]), id(8)]
}
