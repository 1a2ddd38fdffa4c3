//! Traces by their ids: first the time range from the index, then the spans of that range from the base
//! table, then each resource once. Never a scan, and never through the compatibility views.

use std::collections::HashMap;
use std::sync::Arc;

use cityhash_102_rs::city_hash_64;
use clickhouse::{Row, RowOwned, RowRead};
use serde::Deserialize;

use super::promoted::{self, PromotedColumn};
use super::rare;
use super::row::{self, SPAN_COLUMNS, SpanRow};
use super::{Scope, Span, Trace, TraceId, Traces};
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

/// Stretches of time that are asked for one by one; those with the shortest gaps between them are joined.
const STRETCHES_MAX: usize = 16;
/// Gaps that are never worth a stretch of its own, in nanoseconds: spans are stored by the minute, and each stretch
/// takes ClickHouse 0.3 ms to plan.
const GAP_MIN: i64 = 60_000_000_000;
/// How far from where a span of a trace was seen its others mostly are, in nanoseconds.
const AROUND: i64 = GAP_MIN / 2;

/// Every column of a few granules: each four of them are worth a thread, where ClickHouse takes one for twenty.
const BY_FOUR_GRANULES: &str = " SETTINGS merge_tree_min_rows_for_concurrent_read = 32768, \
    merge_tree_min_bytes_for_concurrent_read = 1";

/// When the spans of a trace began, or of several of about the same time, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Row, Deserialize)]
pub(crate) struct Stretch {
    pub start: i64,
    pub end: i64,
}

impl Stretch {
    fn holds(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A trace to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub id: TraceId,
    /// Where spans of it were seen, by whoever looked for it: the index may show an insert later than the spans.
    pub seen: Option<Stretch>,
}

impl From<TraceId> for Found {
    fn from(id: TraceId) -> Self {
        Self { id, seen: None }
    }
}

/// Those that are stored, in that order.
pub(crate) async fn read(traces: &Traces, wanted: &[Found]) -> Result<Vec<Trace>, Error> {
    let columns = traces.promoted.columns(&traces.clickhouse).await?;
    let statement = |stretches: &[Stretch]| spans_statement(traces, &columns, wanted, stretches);
    let rows: Arc<Vec<SpanRow>> = spans(traces, wanted, statement).await?;
    let resources = rows.iter().map(|row| row.resource).collect();
    let resources = traces.resources.read(&traces.clickhouse, resources);
    let rare = rare::read(traces, rows.iter().map(SpanRow::counted));
    let (resources, mut rare) = futures_util::try_join!(resources, rare)?;
    // Others who asked the same may hold the rows too.
    let rows = Arc::try_unwrap(rows).unwrap_or_else(|shared| shared.to_vec());
    let mut by_id: HashMap<_, Vec<Span>> = HashMap::new();
    let mut scope = Arc::new(Scope::default());
    for row in rows {
        let spans = by_id.entry(row.trace).or_default();
        let rare = rare.take(&row.counted());
        spans.push(row::span(row, rare, &columns, &resources, &mut scope));
    }
    let found = wanted.iter().filter_map(|Found { id, .. }| {
        let mut spans = by_id.remove(&id.0)?;
        spans.sort_by_key(|span| (span.start, span.id));
        Some(Trace { id: *id, spans })
    });
    Ok(found.collect())
}

/// The rows that a statement gives of all their spans, in no order. Where all were seen somewhere, it reads around
/// there while the index is asked, and once more if that knows of spans further away.
pub(super) async fn spans<T>(
    traces: &Traces,
    wanted: &[Found],
    statement: impl Fn(&[Stretch]) -> Statement,
) -> Result<Arc<Vec<T>>, Error>
where
    T: RowOwned + RowRead + Send + Sync + 'static,
{
    let around = around(wanted);
    let early = async {
        match around.is_empty() {
            true => Ok(Arc::default()),
            false => traces.clickhouse.rows(statement(&around)).await,
        }
    };
    let (stretches, rows) = futures_util::try_join!(stretches(traces, wanted), early)?;
    let is_read = |stretch: &Stretch| around.iter().any(|read| read.holds(stretch));
    if stretches.iter().all(is_read) {
        return Ok(rows);
    }
    traces.clickhouse.rows(statement(&stretches)).await
}

/// Where they probably are: nothing unless all were seen.
fn around(wanted: &[Found]) -> Vec<Stretch> {
    let around = |found: &Found| {
        let seen = found.seen?;
        Some(Stretch {
            start: seen.start.saturating_sub(AROUND),
            end: seen.end.saturating_add(AROUND),
        })
    };
    let all: Option<Vec<_>> = wanted.iter().map(around).collect();
    joined(all.unwrap_or_default())
}

/// When they were, by the index and by whoever saw them; nothing if none is stored.
async fn stretches(traces: &Traces, wanted: &[Found]) -> Result<Vec<Stretch>, Error> {
    // What ClickHouse calls `cityHash64`.
    let hashes = wanted.iter().map(|found| city_hash_64(&found.id.0));
    let mut statement = Statement::new("trace range");
    statement
        .sql(
            "SELECT toUnixTimestamp64Nano(Start) AS start, toUnixTimestamp64Nano(End) AS end FROM ",
        )
        .sql(traces.clickhouse.name(Source::TraceIndex))
        .sql(" WHERE TraceHash IN ")
        .value(Value::Unsigneds(hashes.collect()))
        // A few rows of each trace, which need no grouping: each insert's spans lie within its row. And a few
        // granules: more threads cost more than they bring.
        .sql(" SETTINGS max_threads = 1");
    let rows: Arc<Vec<Stretch>> = traces.clickhouse.rows(statement).await?;
    let seen = wanted.iter().filter_map(|found| found.seen);
    Ok(joined(rows.iter().copied().chain(seen).collect()))
}

/// Traces become stretches without overlap by their start, as many as are asked for at once.
pub(super) fn joined(mut traces: Vec<Stretch>) -> Vec<Stretch> {
    traces.sort_unstable_by_key(|trace| trace.start);
    let mut gaps: Vec<_> = gaps(&traces).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    let least = gaps
        .get(STRETCHES_MAX - 1)
        .map_or(GAP_MIN, |gap| GAP_MIN.max(gap + 1));
    let mut stretches: Vec<Stretch> = Vec::new();
    for trace in traces {
        match stretches.last_mut() {
            Some(last) if trace.start - last.end < least => last.end = last.end.max(trace.end),
            _ => stretches.push(trace),
        }
    }
    stretches
}

/// From the end of all before to each start.
fn gaps(traces: &[Stretch]) -> impl Iterator<Item = i64> + '_ {
    let mut end = i64::MAX;
    traces.iter().map(move |trace| {
        let gap = trace.start.saturating_sub(end);
        end = if end == i64::MAX {
            trace.end
        } else {
            end.max(trace.end)
        };
        gap
    })
}

fn spans_statement(
    traces: &Traces,
    columns: &[PromotedColumn],
    wanted: &[Found],
    stretches: &[Stretch],
) -> Statement {
    let mut statement = Statement::new("trace");
    statement.sql("SELECT ").sql(SPAN_COLUMNS).sql(", ");
    promoted::select(&mut statement, columns);
    statement
        .sql(" AS promoted FROM ")
        .sql(traces.clickhouse.name(Source::Traces));
    of_traces(&mut statement, wanted, stretches);
    // Sorting so few rows here is cheaper: of all columns there, it takes a tenth of the statement.
    statement.sql(BY_FOUR_GRANULES);
    statement
}

/// Appends the condition that finds their spans.
pub(super) fn of_traces(statement: &mut Statement, wanted: &[Found], stretches: &[Stretch]) {
    for (index, stretch) in stretches.iter().enumerate() {
        statement
            .sql(if index == 0 { " WHERE (" } else { " OR " })
            .sql("Timestamp >= ")
            .time(stretch.start)
            .sql(" AND Timestamp <= ")
            .time(stretch.end);
    }
    statement
        // As text, because the skip index is on that.
        .sql(") AND lower(hex(TraceId)) IN ")
        .value(texts(wanted));
}

fn texts(wanted: &[Found]) -> Value {
    Value::Texts(wanted.iter().map(|found| found.id.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn stretch(start: i64, end: i64) -> Stretch {
        Stretch {
            start: start * SECOND,
            end: end * SECOND,
        }
    }

    /// Scenario: traces that overlap, that lie within each other, close together and far apart; then very many.
    /// Guarantees: every trace lies in a stretch, stretches do not overlap, and they are few.
    #[test]
    fn traces_of_about_the_same_time_are_one_stretch() {
        assert_eq!(joined(vec![]), []);
        let near = [
            stretch(10, 90),
            stretch(20, 30),
            stretch(80, 95),
            stretch(95, 96),
        ];
        assert_eq!(joined(near.to_vec()), [stretch(10, 96)]);
        let far = [stretch(10, 20), stretch(3_000, 3_001)];
        assert_eq!(joined(far.to_vec()), far);
        let minutes = (1..=1_000).map(|i| 60 * i);
        let many: Vec<_> = minutes.map(|i| stretch(i * i, i * i + 1)).collect();
        let joined = joined(many.clone());
        assert!(
            joined.len() <= STRETCHES_MAX && joined.len() > STRETCHES_MAX / 2,
            "{}",
            joined.len()
        );
        assert!(joined.windows(2).all(|two| two[0].end < two[1].start));
        for trace in many {
            assert_eq!(joined.iter().filter(|s| s.holds(&trace)).count(), 1);
        }
    }

    /// Scenario: traces that were seen near one another and far apart; one that was not seen among them.
    /// Guarantees: what is read around there holds what was seen and half a minute more; with the last, nothing is.
    #[test]
    fn spans_are_looked_for_around_those_that_were_seen() {
        let found = |seen| Found {
            id: TraceId([1; 16]),
            seen,
        };
        let mut wanted = [stretch(500, 510), stretch(100, 101), stretch(120, 125)]
            .map(|seen| found(Some(seen)))
            .to_vec();
        assert_eq!(around(&wanted), [stretch(70, 155), stretch(470, 540)]);
        wanted.push(found(None));
        assert_eq!(around(&wanted), []);
    }
}
