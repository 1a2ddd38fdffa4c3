//! Reads a log record, in whatever order its fields come.

use super::growth::RECORD;
use super::request::{Place, Rows, Walk};
use super::value::{Merged, any_value_text, attribute};
use super::wire::Reader;
use super::{DecodeError, small_enum, storable_time};
use crate::columns::{ColumnSet as _, LogColumns, LogRow, ResourceId, Scope, Text};
use spanmill_schema::ValueType;

impl Rows for LogColumns {
    const HOLD_SCOPE: bool = true;

    #[inline]
    fn item(
        &mut self,
        message: &[u8],
        _: &Place<'_>,
        walk: &mut Walk<'_>,
    ) -> Result<(), DecodeError> {
        walk.foresee(message, &RECORD, self)?;
        record(message, self, walk)
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
        self.fill()?;
        Ok(self.origin().end_resource(id, service, rows)?)
    }
}

fn record(message: &[u8], logs: &mut LogColumns, walk: &mut Walk<'_>) -> Result<(), DecodeError> {
    let mut row = LogRow {
        timestamp: 0,
        observed_timestamp: 0,
        trace_id: [0; 16],
        span_id: [0; 8],
        flags: 0,
        severity_number: 0,
        severity_text: Text::default(),
        event_name: Text::default(),
        body: &[],
        body_type: ValueType::Empty,
        dropped_attributes: 0,
    };
    let mut body = Merged::default();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => row.timestamp = reader.fixed64(wire)?,
            2 => row.severity_number = small_enum(reader.varint(wire)?),
            3 => row.severity_text = reader.text(wire)?,
            5 => body.push(reader.bytes(wire)?)?,
            6 => {
                let (key, value) = attribute(reader.bytes_and_behind(wire)?, &mut walk.text)?;
                logs.attributes().push(key, value)?;
            }
            7 => row.dropped_attributes = reader.varint(wire)? as u32,
            8 => row.flags = reader.fixed32(wire)?,
            9 => row.trace_id = correlation(reader.bytes(wire)?),
            10 => row.span_id = correlation(reader.bytes(wire)?),
            11 => row.observed_timestamp = reader.fixed64(wire)?,
            12 => row.event_name = reader.text(wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    // OTLP: a time of 0 is unknown, and readers then use the observed one.
    if row.timestamp == 0 {
        row.timestamp = match row.observed_timestamp {
            0 => walk.arrival.now,
            observed => observed,
        };
    }
    walk.arrival
        .check(row.timestamp, "log_record.time_unix_nano")?;
    row.timestamp = storable_time(row.timestamp);
    row.observed_timestamp = storable_time(row.observed_timestamp);
    (row.body_type, row.body) = any_value_text(&body, &mut walk.text)?;
    Ok(logs.end_record(&row)?)
}

/// The id of a trace or span that a record or an exemplar belongs to. One that is not valid means "to
/// none", as OTLP wants it.
pub(super) fn correlation<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}
