//! What makes a span bad.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::{Fault, too_deep};

pub(in crate::decode::tests) const FAULTS: &[Fault<Span>] = &[
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
    |span| span.start_time_unix_nano = u64::MAX,
];

fn link(trace_id: usize, span_id: usize) -> Link {
    Link {
        trace_id: vec![1; trace_id],
        span_id: vec![1; span_id],
        ..Link::default()
    }
}
