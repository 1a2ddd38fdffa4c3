//! Rows of `otel_traces`.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use spanmill_schema::Tables;

use super::common::{
    attributes, byte, entries, id, lists, map_and_types, number, promoted_columns, text, time,
};
use super::{Broken, Place, RowResult, Stored, in_time};
use crate::decode::Arrival;
use crate::decode::tests::block::{Row, Value, row as named};

pub(in crate::decode::tests) fn rows(
    span: &Span,
    place: &Place,
    tables: &Tables,
    arrival: Arrival,
) -> Vec<RowResult> {
    let row = span_row(span, place, tables, arrival);
    vec![row.map(|row| Stored { row, series: None })]
}

fn named_id(bytes: &[u8], length: usize) -> Result<Value, Broken> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Err("id missing or zero"),
        false => id(bytes, length),
    }
}

fn span_row(span: &Span, place: &Place, tables: &Tables, arrival: Arrival) -> Result<Row, Broken> {
    let start = span.start_time_unix_nano;
    let status = span.status.clone().unwrap_or_default();
    let parent = match &*span.parent_span_id {
        [] => &[0; 8],
        given => given,
    };
    let mut row = named([
        ("Timestamp", in_time(start, arrival)?),
        ("TraceId", named_id(&span.trace_id, 16)?),
        ("SpanId", named_id(&span.span_id, 8)?),
        ("ParentSpanId", id(parent, 8)?),
        ("TraceState", text(&span.trace_state)?),
        ("Flags", number(span.flags)),
        ("SpanName", text(&span.name)?),
        ("SpanKind", byte(span.kind)),
        ("ServiceName", place.service.clone()),
    ]);
    row.extend(place.scope.iter().cloned());
    row.extend(named([
        (
            "Duration",
            number(span.end_time_unix_nano.saturating_sub(start)),
        ),
        ("StatusCode", byte(status.code)),
        ("StatusMessage", text(&status.message)?),
    ]));
    let mut rest = entries(&span.attributes)?;
    row.extend(promoted_columns(&tables.promoted_spans, &mut rest));
    let [map, types] = map_and_types(&rest);
    row.extend(named([
        ("SpanAttributes", map),
        ("SpanAttributeTypes", types),
        (
            "DroppedAttributesCount",
            number(span.dropped_attributes_count),
        ),
        ("DroppedEventsCount", number(span.dropped_events_count)),
        ("DroppedLinksCount", number(span.dropped_links_count)),
    ]));
    row.extend(event_columns(&span.events)?);
    row.extend(link_columns(&span.links)?);
    Ok(row)
}

fn event_columns(events: &[Event]) -> Result<Row, Broken> {
    let names = [
        "Events.Timestamp",
        "Events.Name",
        "Events.Attributes",
        "Events.AttributeTypes",
        "Events.DroppedAttributesCount",
    ];
    let row = |event: &Event| -> Result<_, Broken> {
        let [map, types] = attributes(&event.attributes)?;
        Ok([
            time(event.time_unix_nano),
            text(&event.name)?,
            map,
            types,
            number(event.dropped_attributes_count),
        ])
    };
    let rows: Result<Vec<_>, _> = events.iter().map(row).collect();
    Ok(lists(names, rows?))
}

fn link_columns(links: &[Link]) -> Result<Row, Broken> {
    let names = [
        "Links.TraceId",
        "Links.SpanId",
        "Links.TraceState",
        "Links.Flags",
        "Links.Attributes",
        "Links.AttributeTypes",
        "Links.DroppedAttributesCount",
    ];
    let row = |link: &Link| -> Result<_, Broken> {
        let [map, types] = attributes(&link.attributes)?;
        Ok([
            id(&link.trace_id, 16)?,
            id(&link.span_id, 8)?,
            text(&link.trace_state)?,
            number(link.flags),
            map,
            types,
            number(link.dropped_attributes_count),
        ])
    };
    let rows: Result<Vec<_>, _> = links.iter().map(row).collect();
    Ok(lists(names, rows?))
}
