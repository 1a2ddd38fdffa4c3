//! Bad requests among good ones: nothing of them stays, and nothing good is lost with them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use proptest::prelude::*;
use prost::Message as _;
use spanmill_schema::tables::PROMOTED_SPAN_ATTRIBUTES;

use super::expected::expected;
use super::messages::request;
use super::shapes::{full, nested};
use super::{Known, NOW, Read, assert_holds, cases, seal};
use crate::columns::Columns;
use crate::decode::{VALUE_DEPTH_MAX, walk_traces};

/// Stands in every string of a refused request.
const MARK: &str = "only-in-refused-requests";
/// Replaced by bytes that are no UTF-8 once it is encoded.
const INVALID: &str = "~invalid~";

proptest! {
    #![proptest_config(cases(48))]

    /// Scenario: arbitrary requests are broken in every way, and come among good ones.
    /// Guarantees: each is refused; the chunk is byte for byte the one of the good requests alone.
    #[test]
    fn refused_requests_leave_nothing(good in request(), other in request(), bad in request()) {
        assert_leaves_nothing(&good, &other, &bad, 8);
    }
}

/// Scenario: a request that uses every field is broken in every one of its strings and ids.
/// Guarantees: as above, for each field that holds text or an id.
#[test]
fn every_string_and_id_is_checked() {
    assert_leaves_nothing(&full(), &full(), &full(), usize::MAX);
}

fn assert_leaves_nothing(
    good: &ExportTraceServiceRequest,
    other: &ExportTraceServiceRequest,
    bad: &ExportTraceServiceRequest,
    strings_max: usize,
) {
    let mut marked = bad.clone();
    texts(&mut marked, &mut |text| {
        let promoted = PROMOTED_SPAN_ATTRIBUTES.iter().any(|p| p.key == text);
        if !promoted && text != "service.name" {
            text.push_str(MARK);
        }
    });
    let bodies = broken(&marked, strings_max);
    let walk = |columns: &mut Columns, refused: &[Vec<u8>]| -> Read {
        for request in [good, good, other] {
            for body in refused {
                walk_traces(body, columns, NOW).expect_err("a broken request was taken");
            }
            walk_traces(&request.encode_to_vec(), columns, NOW).unwrap();
        }
        seal(columns)
    };
    let alone = walk(&mut Columns::default(), &[]);
    let mut columns = Columns::default();
    let among = walk(&mut columns, &bodies);
    assert!(among == alone, "refused requests changed the chunk");
    assert!(!contains(&among.plain, MARK.as_bytes()));

    // A resource that came with a refused request must not count as written.
    let mut known = Known::new();
    let goods = [good, good, other].map(|request| expected(request).unwrap());
    assert_holds(&among, &goods.concat(), NOW, &mut known);
    walk_traces(&marked.encode_to_vec(), &mut columns, NOW).unwrap();
    let later = seal(&mut columns);
    assert_holds(&later, &expected(&marked).unwrap(), NOW, &mut known);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

/// `request` with one fault, for every kind of fault and place; at most `strings_max` of its strings
/// are made invalid.
fn broken(request: &ExportTraceServiceRequest, strings_max: usize) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut strings = 0_usize;
    texts(&mut request.clone(), &mut |_| strings += 1);
    for at in (0..strings).step_by(strings.div_ceil(strings_max).max(1)) {
        bodies.push(with_invalid_utf8(request, at));
    }
    let spans = spans_of(&mut request.clone()).count();
    for fault in SPAN_FAULTS {
        for at in [0, spans.saturating_sub(1)] {
            let mut bad = request.clone();
            let span = spans_of(&mut bad).nth(at);
            if span.map(fault).is_some() {
                bodies.push(bad.encode_to_vec());
            }
        }
    }
    let mut bad = request.clone();
    if let Some(last) = bad.resource_spans.last_mut() {
        last.resource
            .get_or_insert_default()
            .attributes
            .push(too_deep());
        bodies.push(bad.encode_to_vec());
    }
    let mut bad = request.clone();
    let mut scopes = bad
        .resource_spans
        .iter_mut()
        .flat_map(|r| &mut r.scope_spans);
    if let Some(last) = scopes.next_back() {
        last.scope
            .get_or_insert_default()
            .attributes
            .push(too_deep());
        bodies.push(bad.encode_to_vec());
    }
    bodies
}

fn spans_of(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    let scopes = request
        .resource_spans
        .iter_mut()
        .flat_map(|r| &mut r.scope_spans);
    scopes.flat_map(|scope| &mut scope.spans)
}

const SPAN_FAULTS: &[fn(&mut Span)] = &[
    |span| span.trace_id.clear(),
    |span| span.trace_id.truncate(15),
    |span| span.trace_id.push(0),
    |span| span.trace_id.fill(0),
    |span| span.span_id.clear(),
    |span| span.span_id.truncate(7),
    |span| span.span_id.push(0),
    |span| span.span_id.fill(0),
    |span| span.parent_span_id = vec![1; 7],
    |span| span.parent_span_id = vec![1; 16],
    |span| span.links.push(link(15, 8)),
    |span| span.links.push(link(0, 8)),
    |span| span.links.push(link(16, 9)),
    |span| span.links.push(link(16, 0)),
    |span| span.attributes.push(too_deep()),
    |span| {
        span.events.push(Event {
            attributes: vec![too_deep()],
            ..Event::default()
        });
    },
    |span| {
        span.links.push(Link {
            attributes: vec![too_deep()],
            ..link(16, 8)
        });
    },
];

fn link(trace_id: usize, span_id: usize) -> Link {
    Link {
        trace_id: vec![1; trace_id],
        span_id: vec![1; span_id],
        ..Link::default()
    }
}

fn too_deep() -> KeyValue {
    KeyValue {
        key: MARK.to_owned(),
        value: Some(nested(VALUE_DEPTH_MAX + 1, |depth| depth % 2 == 0)),
        key_strindex: 0,
    }
}

fn with_invalid_utf8(request: &ExportTraceServiceRequest, at: usize) -> Vec<u8> {
    let mut bad = request.clone();
    let mut index = 0;
    texts(&mut bad, &mut |text| {
        if index == at {
            *text = INVALID.to_owned();
        }
        index += 1;
    });
    let mut body = bad.encode_to_vec();
    let mut windows = body.windows(INVALID.len());
    let start = windows.position(|part| part == INVALID.as_bytes()).unwrap();
    body[start + 4] = 0xff;
    body
}

/// Visits every string of a request that is stored.
fn texts(request: &mut ExportTraceServiceRequest, visit: &mut dyn FnMut(&mut String)) {
    for resource_spans in &mut request.resource_spans {
        visit(&mut resource_spans.schema_url);
        if let Some(resource) = &mut resource_spans.resource {
            attribute_texts(&mut resource.attributes, visit);
        }
        for scope_spans in &mut resource_spans.scope_spans {
            visit(&mut scope_spans.schema_url);
            if let Some(scope) = &mut scope_spans.scope {
                visit(&mut scope.name);
                visit(&mut scope.version);
                attribute_texts(&mut scope.attributes, visit);
            }
            scope_spans
                .spans
                .iter_mut()
                .for_each(|span| span_texts(span, visit));
        }
    }
}

fn span_texts(span: &mut Span, visit: &mut dyn FnMut(&mut String)) {
    visit(&mut span.name);
    visit(&mut span.trace_state);
    attribute_texts(&mut span.attributes, visit);
    for event in &mut span.events {
        visit(&mut event.name);
        attribute_texts(&mut event.attributes, visit);
    }
    for link in &mut span.links {
        visit(&mut link.trace_state);
        attribute_texts(&mut link.attributes, visit);
    }
    if let Some(status) = &mut span.status {
        visit(&mut status.message);
    }
}

fn attribute_texts(attributes: &mut [KeyValue], visit: &mut dyn FnMut(&mut String)) {
    for attribute in attributes {
        visit(&mut attribute.key);
        if let Some(value) = &mut attribute.value {
            value_texts(value, visit);
        }
    }
}

fn value_texts(value: &mut AnyValue, visit: &mut dyn FnMut(&mut String)) {
    match &mut value.value {
        Some(Value::StringValue(text)) => visit(text),
        Some(Value::ArrayValue(array)) => {
            array
                .values
                .iter_mut()
                .for_each(|value| value_texts(value, visit));
        }
        Some(Value::KvlistValue(map)) => attribute_texts(&mut map.values, visit),
        _ => {}
    }
}
