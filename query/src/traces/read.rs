//! Traces by their ids: first the time range from the index, then the spans of that range from the base
//! table, then each resource once. Never a scan, and never through the compatibility views.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::promoted::{self, PromotedColumn};
use super::row::{self, RESOURCE_COLUMNS, ResourceRow, SPAN_COLUMNS, SpanRow};
use super::{Resource, Scope, Span, Trace, TraceId, Traces};
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

/// When the spans of some traces began, in nanoseconds since 1970.
#[derive(Row, Deserialize)]
pub(super) struct Range {
    start: i64,
    end: i64,
    found: u64,
}

/// The traces of these ids that are stored, in that order.
pub(crate) async fn read(traces: &Traces, ids: &[TraceId]) -> Result<Vec<Trace>, Error> {
    let Some(range) = range(traces, ids).await? else {
        return Ok(Vec::new());
    };
    let columns = traces.promoted.columns(&traces.clickhouse).await?;
    let statement = spans_statement(traces, &columns, ids, &range);
    let rows: Arc<Vec<SpanRow>> = traces.clickhouse.rows(statement).await?;
    let resources = resources(traces, &rows).await?;
    // Others who asked the same may hold the rows too.
    let rows = Arc::try_unwrap(rows).unwrap_or_else(|shared| shared.to_vec());
    let mut by_id: HashMap<_, Vec<Span>> = HashMap::new();
    let mut scope = Arc::new(Scope::default());
    for row in rows {
        let spans = by_id.entry(row.trace).or_default();
        spans.push(row::span(row, &columns, &resources, &mut scope));
    }
    let found = ids.iter().filter_map(|id| {
        let spans = by_id.remove(&id.0)?;
        Some(Trace { id: *id, spans })
    });
    Ok(found.collect())
}

/// What the index knows of them; nothing if none is stored.
pub(super) async fn range(traces: &Traces, ids: &[TraceId]) -> Result<Option<Range>, Error> {
    let mut statement = Statement::new("trace range");
    statement
        .sql(
            "SELECT toUnixTimestamp64Nano(min(Start)) AS start, toUnixTimestamp64Nano(max(End)) AS end, \
             count() AS found FROM ",
        )
        .sql(traces.clickhouse.name(Source::TraceIndex))
        .sql(" WHERE TraceHash IN (SELECT cityHash64(toFixedString(unhex(arrayJoin(")
        .value(texts(ids))
        .sql(")), 16)))");
    let rows: Arc<Vec<Range>> = traces.clickhouse.rows(statement).await?;
    let range = rows.first().filter(|range| range.found > 0);
    Ok(range.map(|range| Range { ..*range }))
}

fn spans_statement(
    traces: &Traces,
    columns: &[PromotedColumn],
    ids: &[TraceId],
    range: &Range,
) -> Statement {
    let mut statement = Statement::new("trace");
    statement.sql("SELECT ").sql(SPAN_COLUMNS).sql(", ");
    promoted::select(&mut statement, columns);
    statement
        .sql(" AS promoted FROM ")
        .sql(traces.clickhouse.name(Source::Traces));
    of_traces(&mut statement, ids, range);
    statement.sql(" ORDER BY start, id");
    statement
}

/// Appends the condition that finds their spans.
pub(super) fn of_traces(statement: &mut Statement, ids: &[TraceId], range: &Range) {
    statement
        .sql(" WHERE Timestamp >= ")
        .time(range.start)
        .sql(" AND Timestamp <= ")
        .time(range.end)
        // As text, because the skip index is on that.
        .sql(" AND lower(hex(TraceId)) IN ")
        .value(texts(ids));
}

async fn resources(
    traces: &Traces,
    rows: &[SpanRow],
) -> Result<HashMap<u64, Arc<Resource>>, Error> {
    let mut ids: Vec<u64> = rows.iter().map(|row| row.resource).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut statement = Statement::new("resources");
    statement
        .sql("SELECT ")
        .sql(RESOURCE_COLUMNS)
        .sql(" FROM ")
        .sql(traces.clickhouse.name(Source::Resources))
        .sql(" WHERE ResourceId IN ")
        .value(Value::Unsigneds(ids))
        .sql(" LIMIT 1 BY ResourceId");
    let rows: Arc<Vec<ResourceRow>> = traces.clickhouse.rows(statement).await?;
    let resource = |row| {
        let resource = row::resource(row);
        (resource.id, Arc::new(resource))
    };
    Ok(rows.iter().map(resource).collect())
}

fn texts(ids: &[TraceId]) -> Value {
    Value::Texts(ids.iter().map(TraceId::to_string).collect())
}
