//! Reads a span with its events and links, in whatever order their fields come.

use super::growth::SPAN;
use super::request::{Place, Rows, Walk};
use super::value::attribute;
use super::wire::Reader;
use super::{Arrival, DecodeError, small_enum, storable_time, utf8};
use crate::columns::{ColumnSet as _, Event, Link, ResourceId, Scope, SpanRow, TraceColumns};

impl Rows for TraceColumns {
    const HOLD_SCOPE: bool = true;

    #[inline]
    fn item(
        &mut self,
        message: &[u8],
        _: &Place<'_>,
        walk: &mut Walk<'_>,
    ) -> Result<(), DecodeError> {
        walk.foresee(message, &SPAN, self)?;
        span(message, self, &mut walk.text, walk.arrival)
    }

    fn row_bytes(&self) -> usize {
        self.row_bytes()
    }

    fn unfilled_bytes(&self) -> usize {
        self.unfilled_bytes()
    }

    fn count(_: &[u8]) -> usize {
        1
    }

    fn end_scope(&mut self, scope: &Scope<'_>) -> Result<(), DecodeError> {
        let rows = self.rows();
        Ok(self.origin().end_scope(scope, rows)?)
    }

    fn end_resource(&mut self, id: ResourceId, service: &[u8]) -> Result<(), DecodeError> {
        let rows = self.rows();
        self.attributes().fill()?;
        Ok(self.origin().end_resource(id, service, rows)?)
    }
}

fn span(
    message: &[u8],
    traces: &mut TraceColumns,
    text: &mut Vec<u8>,
    arrival: Arrival,
) -> Result<(), DecodeError> {
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
            5 => row.name = reader.text(wire)?,
            6 => row.kind = small_enum(reader.varint(wire)?),
            7 => row.start = reader.fixed64(wire)?,
            8 => end = reader.fixed64(wire)?,
            9 => {
                let (key, value) = attribute(reader.bytes_and_behind(wire)?, text)?;
                traces.attributes().push(key, value)?;
            }
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
    arrival.check(row.start, "span.start_time_unix_nano")?;
    row.duration = end.saturating_sub(row.start);
    row.start = storable_time(row.start);
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
            1 => event.timestamp = storable_time(reader.fixed64(wire)?),
            2 => event.name = reader.text(wire)?,
            3 => {
                let (key, value) = attribute(reader.bytes_and_behind(wire)?, text)?;
                traces.event_attributes().push(key, value)?;
            }
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
            4 => {
                let (key, value) = attribute(reader.bytes_and_behind(wire)?, text)?;
                traces.link_attributes().push(key, value)?;
            }
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
