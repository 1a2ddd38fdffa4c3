//! Which service calls which: from the hourly edges, and from spans for what no hour holds yet. The latter reads
//! a bounded number of the newest spans, so behind the last computed hour a busy system's counts are lower bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::error::Error;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// Hours are computed a quarter of an hour after they are over; further back, spans are not asked.
const TAIL_MAX: i64 = 2 * HOUR;
/// About this many spans are joined for the tail, in some 30 ms.
const TAIL_SPANS_MAX: u64 = 100_000;

/// How often one service called another.
#[derive(Debug, Clone, Row, Deserialize)]
pub(crate) struct Edge {
    pub parent: String,
    pub child: String,
    pub calls: u64,
}

#[derive(Row, Deserialize)]
struct Newest {
    /// The start of the newest computed hour, in seconds.
    hour: u32,
}

/// Spans of an hour, or of a second.
#[derive(Row, Deserialize)]
struct Counted {
    /// Its start, in seconds.
    second: u32,
    spans: u64,
}

/// Edges of the hours that overlap the range (nanoseconds since 1970), by caller and callee; only those of
/// `service` if it is given.
pub(crate) async fn dependencies(
    clickhouse: &ClickHouse,
    (start, end): (i64, i64),
    service: Option<&str>,
) -> Result<Vec<Edge>, Error> {
    let hours = clickhouse.rows::<Edge>(of_hours(clickhouse, start, end));
    let tail = tail(clickhouse, start, end);
    let (hours, tail) = futures_util::try_join!(hours, tail)?;
    let mut edges: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for edge in hours.iter().chain(tail.iter()) {
        if service.is_none_or(|service| [&edge.parent, &edge.child].contains(&&service.to_owned()))
        {
            *edges.entry((&edge.parent, &edge.child)).or_default() += edge.calls;
        }
    }
    let edge = |((parent, child), calls): ((&str, &str), u64)| Edge {
        parent: parent.to_owned(),
        child: child.to_owned(),
        calls,
    };
    Ok(edges.into_iter().map(edge).collect())
}

fn of_hours(clickhouse: &ClickHouse, start: i64, end: i64) -> Statement {
    let mut statement = Statement::new("dependencies");
    statement
        .sql("SELECT Caller AS parent, Callee AS child, sum(Count) AS calls FROM ")
        .sql(clickhouse.name(Source::Dependencies))
        // Hours that overlap the range at all.
        .sql(" WHERE Hour > toDateTime(greatest(0, toInt64(")
        .value(Value::Signed(start / SECOND))
        .sql(") - 3600)) AND Hour <= toDateTime(")
        .value(Value::Signed(end / SECOND))
        .sql(") GROUP BY parent, child ORDER BY parent, child");
    statement
}

async fn tail(clickhouse: &ClickHouse, start: i64, end: i64) -> Result<Arc<Vec<Edge>>, Error> {
    let mut statement = Statement::new("dependencies newest");
    statement
        .sql("SELECT max(Hour) AS hour FROM ")
        .sql(clickhouse.name(Source::DependencyHours));
    let newest: Arc<Vec<Newest>> = clickhouse.rows(statement).await?;
    let computed = newest.first().map_or(0, |newest| newest.hour);
    let behind = i64::from(computed) * SECOND + HOUR;
    let from = behind.max(end - TAIL_MAX).max(start);
    if from >= end {
        return Ok(Arc::default());
    }
    let from = bounded(clickhouse, from, end).await?;
    clickhouse.rows(of_spans(clickhouse, from, end)).await
}

/// The start of a range that ends at `end` and has about as many spans as are wanted, or all from `from` on. Hours
/// tell without reading spans; but when a system has just begun to send, or sends more than before, the spans
/// of an hour came in its last minutes. So the seconds of what hours leave are counted.
async fn bounded(clickhouse: &ClickHouse, from: i64, end: i64) -> Result<i64, Error> {
    let counted = clickhouse.rows(by_hour(clickhouse, from, end)).await?;
    let Some(hours) = newest(&counted, HOUR, end) else {
        return Ok(from);
    };
    let from = from.max(hours);
    let counted = clickhouse.rows(by_second(clickhouse, from, end)).await?;
    Ok(newest(&counted, SECOND, end).map_or(from, |seconds| from.max(seconds)))
}

/// Since when so many spans came as are wanted, if within each of the stretches of `length`, the newest first,
/// they came evenly; `None` when no more than that came.
fn newest(counted: &[Counted], length: i64, end: i64) -> Option<i64> {
    let mut wanted = TAIL_SPANS_MAX;
    for stretch in counted {
        if stretch.spans > wanted {
            let begun = i64::from(stretch.second) * SECOND;
            let over = (begun + length).min(end);
            let share = wanted as f64 / stretch.spans as f64;
            return Some(over - ((over - begun) as f64 * share) as i64);
        }
        wanted -= stretch.spans;
    }
    None
}

fn by_hour(clickhouse: &ClickHouse, from: i64, end: i64) -> Statement {
    let mut statement = Statement::new("dependencies hours");
    statement
        .sql("SELECT toUnixTimestamp(Hour) AS second, sum(Count) AS spans FROM ")
        .sql(clickhouse.name(Source::SpanStats))
        .sql(" WHERE Hour >= toDateTime(")
        .value(Value::Signed(from / HOUR * HOUR / SECOND))
        .sql(") AND Hour <= toDateTime(")
        .value(Value::Signed(end / SECOND))
        .sql(") GROUP BY Hour ORDER BY Hour DESC");
    statement
}

fn by_second(clickhouse: &ClickHouse, from: i64, end: i64) -> Statement {
    let mut statement = Statement::new("dependencies seconds");
    statement
        .sql("SELECT toUnixTimestamp(toDateTime(Timestamp)) AS second, count() AS spans FROM ");
    within(clickhouse, &mut statement, from, end);
    statement.sql(" GROUP BY second ORDER BY second DESC");
    statement
}

fn of_spans(clickhouse: &ClickHouse, start: i64, end: i64) -> Statement {
    let mut statement = Statement::new("dependencies tail");
    statement
        .sql("SELECT parent.Service AS parent, child.Service AS child, count() AS calls FROM (")
        .sql("SELECT cityHash64(TraceId, ParentSpanId) AS Hash, toString(ServiceName) AS Service FROM ");
    within(clickhouse, &mut statement, start, end);
    statement
        .sql(" AND notEmpty(ParentSpanId)) AS child SEMI LEFT JOIN (")
        .sql("SELECT cityHash64(TraceId, SpanId) AS Hash, toString(ServiceName) AS Service FROM ");
    within(clickhouse, &mut statement, start, end);
    statement
        .sql(") AS parent ON parent.Hash = child.Hash WHERE parent.Service != child.Service")
        .sql(" GROUP BY parent, child");
    statement
}

fn within(clickhouse: &ClickHouse, statement: &mut Statement, start: i64, end: i64) {
    statement
        .sql(clickhouse.name(Source::Traces))
        .sql(" WHERE Timestamp >= ")
        .time(start)
        .sql(" AND Timestamp < ")
        .time(end);
}
