//! Where statistics of spans come from: spans themselves, or statistics of hours, days or weeks. All are read into rows of
//! the same columns (bucket, service, operation, kind, calls, errors, durations), so that what is made of them is
//! said once.

use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::tables::Resolution;

const SECOND: i64 = 1_000_000_000;

/// Which spans count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Selection {
    /// All services if none is named.
    pub services: Vec<String>,
    pub operation: Option<String>,
    /// OTLP's numbers; all kinds if none is named.
    pub kinds: Vec<u8>,
}

/// A part of an answer: from a table, from `start` to before `end`, in buckets of `bucket`, all in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub resolution: Resolution,
    pub start: i64,
    pub end: i64,
    pub bucket: i64,
}

/// What is read of hours, days and weeks alike.
const STATISTICS: &str = ") AS Bucket, ServiceName, SpanName, SpanKind, sum(Count) AS Calls, \
    sum(ErrorCount) AS Errors, sum(DurationSum) AS Total, min(DurationMin) AS Least, \
    max(DurationMax) AS Most, quantileTDigestMergeState(DurationDigest) AS Digest FROM ";

/// Appends a subquery with a row for each bucket, service, operation and kind. `Bucket` is the number of the
/// bucket since 1970.
pub(crate) fn append(
    clickhouse: &ClickHouse,
    statement: &mut Statement,
    selection: &Selection,
    part: Part,
) {
    match part.resolution {
        Resolution::Raw => raw(clickhouse, statement, part),
        Resolution::Day => dates(clickhouse, statement, part, ("Day", Source::SpanStatsByDay)),
        Resolution::Week => dates(
            clickhouse,
            statement,
            part,
            ("Week", Source::SpanStatsByWeek),
        ),
        Resolution::FiveMinutes | Resolution::Hour => hours(clickhouse, statement, part),
    }
    selected(statement, selection);
    statement.sql(" GROUP BY Bucket, ServiceName, SpanName, SpanKind");
}

fn raw(clickhouse: &ClickHouse, statement: &mut Statement, part: Part) {
    statement
        .sql("SELECT intDiv(toUnixTimestamp64Nano(Timestamp), ")
        .value(Value::Signed(part.bucket))
        .sql(
            ") AS Bucket, ServiceName, SpanName, SpanKind, count() AS Calls, \
             countIf(StatusCode = 2) AS Errors, sum(Duration) AS Total, min(Duration) AS Least, \
             max(Duration) AS Most, quantileTDigestState(Duration) AS Digest FROM ",
        )
        .sql(clickhouse.name(Source::Traces))
        .sql(" WHERE Timestamp >= ")
        .time(part.start)
        .sql(" AND Timestamp < ")
        .time(part.end);
}

fn hours(clickhouse: &ClickHouse, statement: &mut Statement, part: Part) {
    statement
        .sql("SELECT intDiv(toInt64(toUnixTimestamp(Hour)), ")
        .value(Value::Signed(part.bucket / SECOND))
        .sql(STATISTICS)
        .sql(clickhouse.name(Source::SpanStats))
        .sql(" WHERE Hour >= toDateTime(")
        .value(Value::Signed(part.start / SECOND))
        .sql(") AND Hour < toDateTime(")
        .value(Value::Signed(part.end / SECOND))
        .sql(")");
}

/// Of a table whose rows are of whole days, and its column that says which.
fn dates(
    clickhouse: &ClickHouse,
    statement: &mut Statement,
    part: Part,
    (column, source): (&'static str, Source),
) {
    let day = Resolution::Day.width();
    statement
        .sql("SELECT intDiv(toInt64(")
        .sql(column)
        .sql(") * 86400, ")
        .value(Value::Signed(part.bucket / SECOND))
        .sql(STATISTICS)
        .sql(clickhouse.name(source))
        .sql(" WHERE ")
        .sql(column)
        .sql(" >= toDate(")
        .value(Value::Signed(part.start / day))
        .sql(") AND ")
        .sql(column)
        .sql(" < toDate(")
        .value(Value::Signed(part.end / day))
        .sql(")");
}

fn selected(statement: &mut Statement, selection: &Selection) {
    if !selection.services.is_empty() {
        statement
            .sql(" AND ServiceName IN ")
            .value(Value::Texts(selection.services.clone()));
    }
    if let Some(operation) = &selection.operation {
        statement.sql(" AND SpanName = ").text(operation);
    }
    if !selection.kinds.is_empty() {
        let kinds = selection.kinds.iter().map(|kind| u64::from(*kind));
        statement
            .sql(" AND SpanKind IN ")
            .value(Value::Unsigneds(kinds.collect()));
    }
}
