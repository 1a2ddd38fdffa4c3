//! Rows of `otel_logs`.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use spanmill_schema::Tables;

use super::common::{
    byte, correlation, entries, map_and_types, number, promoted_columns, text, time,
};
use super::text::value_text;
use super::{Broken, Place, RowResult, Stored, in_time};
use crate::decode::Arrival;
use crate::decode::tests::block::{Row, Value, row as named};

pub(in crate::decode::tests) fn rows(
    record: &LogRecord,
    place: &Place,
    tables: &Tables,
    arrival: Arrival,
) -> Vec<RowResult> {
    let row = log_row(record, place, tables, arrival);
    vec![row.map(|row| Stored { row, series: None })]
}

fn log_row(
    record: &LogRecord,
    place: &Place,
    tables: &Tables,
    arrival: Arrival,
) -> Result<Row, Broken> {
    // The record's own time, else when it was observed, else when it came.
    let times = [
        record.time_unix_nano,
        record.observed_time_unix_nano,
        arrival.now,
    ];
    let happened = times.into_iter().find(|time| *time != 0).unwrap_or(0);
    let (body_type, body) = value_text(record.body.as_ref())?;
    let mut row = named([
        ("Timestamp", in_time(happened, arrival)?),
        ("ObservedTimestamp", time(record.observed_time_unix_nano)),
        ("TraceId", correlation(&record.trace_id, 16)),
        ("SpanId", correlation(&record.span_id, 8)),
        ("Flags", number(record.flags)),
        ("SeverityNumber", byte(record.severity_number)),
        ("SeverityText", text(&record.severity_text)?),
        ("EventName", text(&record.event_name)?),
        ("ServiceName", place.service.clone()),
    ]);
    row.extend(place.scope.iter().cloned());
    row.extend(named([
        ("Body", Value::Text(body)),
        ("BodyType", number(body_type as u8)),
    ]));
    let mut rest = entries(&record.attributes)?;
    row.extend(promoted_columns(&tables.promoted_logs, &mut rest));
    let [map, types] = map_and_types(&rest);
    row.extend(named([
        ("LogAttributes", map),
        ("LogAttributeTypes", types),
        (
            "DroppedAttributesCount",
            number(record.dropped_attributes_count),
        ),
    ]));
    Ok(row)
}
