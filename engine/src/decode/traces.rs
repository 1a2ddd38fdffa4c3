//! The walk over `ExportTraceServiceRequest`: resources, scopes, spans, events, links, in whatever order
//! their fields come.

use super::resource::{read_scope, resolve};
use super::value::{Merged, attribute};
use super::wire::Reader;
use super::{DecodeError, SCOPE_BYTES_MAX, utf8};
use crate::columns::{Columns, Event, Link, Resources, SpanRow, TraceColumns};

/// Room that the walk writes in, reused from span to span.
#[derive(Default)]
struct Scratch {
    text: Vec<u8>,
    encoded: Vec<u8>,
    /// Bytes of scope attributes that this request has put into its spans' rows.
    scope_bytes: usize,
}

pub(super) fn walk(body: &[u8], columns: &mut Columns, now: u32) -> Result<(), DecodeError> {
    let Columns {
        traces, resources, ..
    } = columns;
    let mut scratch = Scratch::default();
    let mut reader = Reader::new(body);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => resource_spans(reader.bytes(wire)?, traces, resources, &mut scratch, now)?,
            _ => reader.skip(field, wire)?,
        }
    }
    Ok(())
}

fn resource_spans(
    message: &[u8],
    traces: &mut TraceColumns,
    resources: &mut Resources,
    scratch: &mut Scratch,
    now: u32,
) -> Result<(), DecodeError> {
    let before = traces.spans();
    let mut resource = Merged::default();
    let mut schema_url = &[][..];
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => resource.push(reader.bytes(wire)?),
            2 => scope_spans(reader.bytes(wire)?, traces, scratch)?,
            3 => schema_url = utf8(reader.bytes(wire)?)?,
            _ => reader.skip(field, wire)?,
        }
    }
    // Its spans were walked before the resource is complete: its columns are filled by run.
    if traces.spans() == before {
        return super::resource::check(&resource);
    }
    let (id, service) = resolve(&resource, schema_url, resources, &mut scratch.encoded, now)?;
    Ok(traces.end_resource(id, &service)?)
}

fn scope_spans(
    message: &[u8],
    traces: &mut TraceColumns,
    scratch: &mut Scratch,
) -> Result<(), DecodeError> {
    let before = traces.spans();
    let mut scope = Merged::default();
    let mut schema_url = &[][..];
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => scope.push(reader.bytes(wire)?),
            2 => span(reader.bytes(wire)?, traces, &mut scratch.text)?,
            3 => schema_url = utf8(reader.bytes(wire)?)?,
            _ => reader.skip(field, wire)?,
        }
    }
    let scope = read_scope(&scope)?;
    let repeated = scope.row_bytes().saturating_mul(traces.spans() - before);
    scratch.scope_bytes = scratch.scope_bytes.saturating_add(repeated);
    if scratch.scope_bytes > SCOPE_BYTES_MAX {
        return Err(DecodeError::ScopeTooLarge);
    }
    Ok(traces.end_scope(
        scope.name,
        scope.version,
        schema_url,
        &scope.attributes,
        scope.dropped_attributes,
    )?)
}

fn span(message: &[u8], traces: &mut TraceColumns, text: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut row = SpanRow::default();
    let (mut trace_id, mut span_id, mut parent_span_id) = (&[][..], &[][..], &[][..]);
    let mut end = 0;
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => trace_id = reader.bytes(wire)?,
            2 => span_id = reader.bytes(wire)?,
            3 => row.trace_state = utf8(reader.bytes(wire)?)?,
            4 => parent_span_id = reader.bytes(wire)?,
            5 => row.name = reader.bytes(wire)?,
            6 => row.kind = small_enum(reader.varint(wire)?),
            7 => row.start = reader.fixed64(wire)?,
            8 => end = reader.fixed64(wire)?,
            9 => attribute(reader.bytes(wire)?, text, |key, kind, value| {
                traces.attribute(key, kind, value)
            })?,
            10 => row.dropped_attributes = reader.varint(wire)? as u32,
            11 => event(reader.bytes(wire)?, traces, text)?,
            12 => row.dropped_events = reader.varint(wire)? as u32,
            13 => link(reader.bytes(wire)?, traces, text)?,
            14 => row.dropped_links = reader.varint(wire)? as u32,
            15 => status(reader.bytes(wire)?, &mut row)?,
            16 => row.flags = reader.fixed32(wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    row.trace_id = named_id(trace_id, "span.trace_id", "16")?;
    row.span_id = named_id(span_id, "span.span_id", "8")?;
    if !parent_span_id.is_empty() {
        row.parent_span_id = id(parent_span_id, "span.parent_span_id", "0 or 8")?;
    }
    row.duration = end.saturating_sub(row.start);
    // ClickHouse's DateTime64(9) ends in 2262, where an i64 of nanoseconds does.
    row.start = row.start.min(i64::MAX as u64);
    Ok(traces.end_span(&row)?)
}

fn status<'a>(message: &'a [u8], row: &mut SpanRow<'a>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.status_message = utf8(reader.bytes(wire)?)?,
            3 => row.status_code = small_enum(reader.varint(wire)?),
            _ => reader.skip(field, wire)?,
        }
    }
    Ok(())
}

fn event(message: &[u8], traces: &mut TraceColumns, text: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut event = Event::default();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => event.timestamp = reader.fixed64(wire)?.min(i64::MAX as u64),
            2 => event.name = reader.bytes(wire)?,
            3 => attribute(reader.bytes(wire)?, text, |key, kind, value| {
                traces.event_attributes().push(key, kind, value)
            })?,
            4 => event.dropped_attributes = reader.varint(wire)? as u32,
            _ => reader.skip(field, wire)?,
        }
    }
    Ok(traces.end_event(&event)?)
}

fn link(message: &[u8], traces: &mut TraceColumns, text: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut link = Link::default();
    let (mut trace_id, mut span_id) = (&[][..], &[][..]);
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => trace_id = reader.bytes(wire)?,
            2 => span_id = reader.bytes(wire)?,
            3 => link.trace_state = utf8(reader.bytes(wire)?)?,
            4 => attribute(reader.bytes(wire)?, text, |key, kind, value| {
                traces.link_attributes().push(key, kind, value)
            })?,
            5 => link.dropped_attributes = reader.varint(wire)? as u32,
            6 => link.flags = reader.fixed32(wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    link.trace_id = id(trace_id, "link.trace_id", "16")?;
    link.span_id = id(span_id, "link.span_id", "8")?;
    traces.end_link(&link);
    Ok(())
}

/// An enum value as one byte. OTLP's enums are small and open; what does not fit is "unspecified". Of a
/// varint with more than 32 bits the lower ones count, as protobuf has it.
fn small_enum(value: u64) -> u8 {
    u8::try_from(value as u32).unwrap_or(0)
}

fn id<const N: usize>(
    bytes: &[u8],
    field: &'static str,
    wanted: &'static str,
) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::IdLength {
        field,
        length: bytes.len(),
        wanted,
    })
}

/// An id that must not be all zeros.
fn named_id<const N: usize>(
    bytes: &[u8],
    field: &'static str,
    wanted: &'static str,
) -> Result<[u8; N], DecodeError> {
    let id = id(bytes, field, wanted)?;
    if id == [0; N] {
        return Err(DecodeError::IdZero { field });
    }
    Ok(id)
}
