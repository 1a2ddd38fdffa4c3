//! Sends spans through the SDK, and says what is expected to be stored of each.

use opentelemetry::Context;
use opentelemetry::trace::{
    Event, Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, SdkTracer, SdkTracerProvider, SpanLimits,
};
use serde_json::{Value, json};

use crate::attributes::{PROMOTED, entries, every_type, key_values, promoted, unpromoted};
use crate::origin::{resource, scope, stored_origin};
use crate::rows::{a_minute_ago, at, with};

const SERVICE: &str = "rust-shop";
/// Bits 8 and 9 of a span's or link's flags: whether its context is known to be remote.
const LOCAL: u32 = 0x100;
const REMOTE: u32 = 0x300;

fn tracing(exporter: SpanExporter, limits: SpanLimits) -> (SdkTracerProvider, SdkTracer) {
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(SERVICE))
        .with_span_limits(limits)
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer_with_scope(scope());
    (provider, tracer)
}

/// What is stored of a span; `changes` says what is not as by default.
fn row(span: &SpanContext, start: u64, changes: Value) -> Value {
    let row = json!({
        "trace_id": span.trace_id().to_string(),
        "span_id": span.span_id().to_string(),
        "parent": "0000000000000000",
        "trace_state": "",
        "flags": LOCAL | 1,
        "kind": 1,
        "start": start,
        "status": 0,
        "status_message": "",
        "promoted": ["", "0", "", "", "", "", "", ""],
        "attributes": [],
        "dropped_attributes": 0,
        "events": [],
        "dropped_events": 0,
        "links": [],
        "dropped_links": 0,
    });
    with(with(row, stored_origin(SERVICE)), changes)
}

fn remote(flags: u8, trace_state: &[(&str, &str)]) -> SpanContext {
    let ids = RandomIdGenerator::default();
    let state = TraceState::from_key_value(trace_state.iter().copied()).expect("a trace state");
    let flags = TraceFlags::new(flags);
    SpanContext::new(ids.new_trace_id(), ids.new_span_id(), flags, true, state)
}

/// A span with everything under a remote parent, and children of every kind and status.
pub(crate) fn send_everything(exporter: SpanExporter) -> Vec<Value> {
    let (provider, tracer) = tracing(exporter, SpanLimits::default());
    let start = a_minute_ago();
    // Sampled, and "the trace id is random".
    let caller = remote(3, &[("vendor", "a"), ("other", "b-1")]);
    let linked = remote(1, &[("l", "1")]);
    let near = remote(0, &[]);
    let near = SpanContext::new(
        near.trace_id(),
        near.span_id(),
        near.trace_flags(),
        false,
        TraceState::NONE,
    );
    let attributes = key_values(every_type()).into_iter().chain(promoted());
    let events = vec![
        Event::new("first", at(start + 7), key_values(every_type()), 0),
        Event::new("second ☃", at(start + 8), Vec::new(), 0),
    ];
    let links = vec![
        Link::new(linked.clone(), key_values(every_type()), 0),
        Link::with_context(near.clone()),
    ];
    let builder = SpanBuilder::from_name("GET /users/{id}")
        .with_kind(SpanKind::Server)
        .with_start_time(at(start))
        .with_attributes(attributes)
        .with_events(events)
        .with_links(links);
    let parent = Context::new().with_remote_span_context(caller.clone());
    let mut span = tracer.build_with_context(builder, &parent);
    span.set_status(Status::error("böom: no such user"));
    span.end_with_timestamp(at(start + 1_234_567_891));
    let root = span.span_context().clone();
    assert_eq!(root.trace_id(), caller.trace_id());
    let mut sent = vec![row(
        &root,
        start,
        json!({
            "name": "GET /users/{id}",
            "parent": caller.span_id().to_string(),
            "trace_state": "vendor=a,other=b-1",
            "flags": REMOTE | 3,
            "kind": 2,
            "duration": 1_234_567_891,
            "status": 2,
            "status_message": "böom: no such user",
            "promoted": PROMOTED.map(|(_, text)| text),
            "attributes": entries(&every_type()),
            "events": [
                [start + 7, "first", entries(&every_type()), 0],
                [start + 8, "second ☃", [], 0],
            ],
            "links": [
                [linked.trace_id().to_string(), linked.span_id().to_string(), "l=1", REMOTE | 1,
                    entries(&every_type()), 0],
                [near.trace_id().to_string(), near.span_id().to_string(), "", LOCAL, [], 0],
            ],
        }),
    )];

    let inside = Context::new().with_span(span);
    let children = [
        (SpanKind::Internal, 1, Status::Unset, 0, ""),
        (SpanKind::Server, 2, Status::Ok, 1, ""),
        (SpanKind::Client, 3, Status::error("late"), 2, "late"),
        (SpanKind::Producer, 4, Status::error(""), 2, ""),
        (SpanKind::Consumer, 5, Status::Unset, 0, ""),
    ];
    for (nanos, (kind, kind_code, status, status_code, message)) in (1..).zip(children) {
        let name = format!("{kind:?} {status:?}");
        let builder = SpanBuilder::from_name(name.clone())
            .with_kind(kind)
            .with_start_time(at(start + nanos))
            .with_attributes(key_values(unpromoted()));
        let mut child = tracer.build_with_context(builder, &inside);
        child.set_status(status);
        child.end_with_timestamp(at(start + nanos + nanos));
        sent.push(row(
            child.span_context(),
            start + nanos,
            json!({
                "name": name,
                "parent": root.span_id().to_string(),
                "trace_state": "vendor=a,other=b-1",
                "flags": LOCAL | 3,
                "kind": kind_code,
                "duration": nanos,
                "status": status_code,
                "status_message": message,
                "attributes": entries(&unpromoted()),
            }),
        ));
    }
    end(&provider);
    sent
}

/// A span past every limit: the SDK keeps the first of each and counts the others.
pub(crate) fn send_past_limits(exporter: SpanExporter) -> Vec<Value> {
    let limits = SpanLimits {
        max_events_per_span: 1,
        max_attributes_per_span: 2,
        max_links_per_span: 1,
        max_attributes_per_event: 3,
        max_attributes_per_link: 4,
    };
    let (provider, tracer) = tracing(exporter, limits);
    let start = a_minute_ago();
    let all = every_type().len();
    let contexts = [remote(1, &[]), remote(1, &[]), remote(1, &[])];
    let links = contexts
        .clone()
        .map(|context| Link::new(context, key_values(every_type()), 0));
    let event = |nanos| Event::new("e", at(start + nanos), key_values(every_type()), 0);
    let builder = SpanBuilder::from_name("past limits")
        .with_start_time(at(start))
        .with_attributes(key_values(every_type()))
        .with_events((0..5).map(event).collect())
        .with_links(links.to_vec());
    let mut span = tracer.build_with_context(builder, &Context::new());
    span.end_with_timestamp(at(start));
    let kept = |count: usize| entries(&every_type()[..count]);
    let [linked, ..] = contexts;
    let sent = row(
        span.span_context(),
        start,
        json!({
            "name": "past limits",
            "duration": 0,
            "attributes": kept(2),
            "dropped_attributes": all - 2,
            "events": [[start, "e", kept(3), all - 3]],
            "dropped_events": 4,
            "links": [[linked.trace_id().to_string(), linked.span_id().to_string(), "", REMOTE | 1,
                kept(4), all - 4]],
            "dropped_links": 2,
        }),
    );
    end(&provider);
    vec![sent]
}

fn end(provider: &SdkTracerProvider) {
    provider.force_flush().expect("the export is acknowledged");
    provider.shutdown().expect("the SDK stops");
}
