//! Which traces fit: a search goes from the newest time back in windows that grow, and ends when it has
//! as many as were asked for, so that a narrow answer never costs a wide read.

use std::collections::HashSet;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::promoted::PromotedColumn;
use super::{TraceId, Traces};
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

/// The first window, in nanoseconds, and how many times as long each further one is: half a century takes 13.
const WINDOW_FIRST: i64 = 60_000_000_000;
const WINDOW_GROWTH: i64 = 4;

/// What a span must be like for its trace to be found. All of it must hold for one span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    pub service: Option<String>,
    pub operation: Option<String>,
    /// Nanoseconds since 1970, inclusive.
    pub start: i64,
    /// Nanoseconds since 1970, inclusive.
    pub end: i64,
    /// Nanoseconds.
    pub duration_min: Option<u64>,
    /// Nanoseconds.
    pub duration_max: Option<u64>,
    /// Keys and values, of the span or its resource, or of what tools show as if it were an attribute.
    pub tags: Vec<(String, String)>,
    /// Most traces; the newest are found.
    pub traces_max: usize,
}

#[derive(Row, Deserialize)]
struct Found {
    trace: [u8; 16],
}

/// Ids of traces that fit, those with the newest fitting span first.
pub(crate) async fn search(traces: &Traces, search: &Search) -> Result<Vec<TraceId>, Error> {
    let columns = traces.promoted.columns(&traces.clickhouse).await?;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut window = WINDOW_FIRST;
    let mut end = search.end;
    while found.len() < search.traces_max && end >= search.start {
        let start = end.saturating_sub(window - 1).max(search.start);
        // Traces that were found before may be here again.
        let limit = (search.traces_max + found.len()) as u64;
        let statement = statement(traces, &columns, search, (start, end), limit);
        let rows: Arc<Vec<Found>> = traces.clickhouse.rows(statement).await?;
        let new = rows.iter().map(|row| TraceId(row.trace));
        found.extend(new.filter(|id| seen.insert(*id)));
        let Some(before) = start.checked_sub(1) else {
            break;
        };
        end = before;
        window = window.saturating_mul(WINDOW_GROWTH);
    }
    found.truncate(search.traces_max);
    Ok(found)
}

fn statement(
    traces: &Traces,
    columns: &[PromotedColumn],
    search: &Search,
    (start, end): (i64, i64),
    limit: u64,
) -> Statement {
    let mut statement = Statement::new("search");
    statement
        .sql("SELECT TraceId AS trace FROM ")
        .sql(traces.clickhouse.name(Source::Traces))
        .sql(" WHERE Timestamp >= ")
        .time(start)
        .sql(" AND Timestamp <= ")
        .time(end);
    if let Some(service) = &search.service {
        statement.sql(" AND ServiceName = ").text(service);
    }
    if let Some(operation) = &search.operation {
        statement.sql(" AND SpanName = ").text(operation);
    }
    if let Some(least) = search.duration_min {
        statement
            .sql(" AND Duration >= ")
            .value(Value::Unsigned(least));
    }
    if let Some(most) = search.duration_max {
        statement
            .sql(" AND Duration <= ")
            .value(Value::Unsigned(most));
    }
    for (key, value) in &search.tags {
        statement.sql(" AND (");
        tag(traces, &mut statement, columns, key, value);
        statement.sql(")");
    }
    statement
        .sql(" GROUP BY TraceId ORDER BY max(Timestamp) DESC, TraceId LIMIT ")
        .value(Value::Unsigned(limit));
    statement
}

/// Appends a condition that holds for spans with this tag.
fn tag(
    traces: &Traces,
    statement: &mut Statement,
    columns: &[PromotedColumn],
    key: &str,
    value: &str,
) {
    if let Some(condition) = of_span_itself(key, value) {
        statement.sql(condition).sql(" OR ");
    }
    match key {
        "otel.status_description" => {
            statement.sql("StatusMessage = ").text(value).sql(" OR ");
        }
        "otel.scope.name" | "otel.library.name" => {
            statement.sql("ScopeName = ").text(value).sql(" OR ");
        }
        "otel.scope.version" | "otel.library.version" => {
            statement.sql("ScopeVersion = ").text(value).sql(" OR ");
        }
        _ => {}
    }
    if let Some(promoted) = columns.iter().find(|promoted| promoted.key == key) {
        in_column(statement, promoted, value);
    }
    in_map(statement, "SpanAttributes", key, value);
    statement
        .sql(" OR ResourceId IN (SELECT ResourceId FROM ")
        .sql(traces.clickhouse.name(Source::Resources))
        .sql(" WHERE ");
    in_map(statement, "Attributes", key, value);
    statement.sql(")");
}

/// What has a column and is shown as a tag.
fn of_span_itself(key: &str, value: &str) -> Option<&'static str> {
    Some(match (key, value) {
        ("error", "true") | ("otel.status_code", "ERROR" | "Error") => "StatusCode = 2",
        ("otel.status_code", "OK" | "Ok") => "StatusCode = 1",
        ("span.kind", "internal") => "SpanKind = 1",
        ("span.kind", "server") => "SpanKind = 2",
        ("span.kind", "client") => "SpanKind = 3",
        ("span.kind", "producer") => "SpanKind = 4",
        ("span.kind", "consumer") => "SpanKind = 5",
        _ => return None,
    })
}

/// An empty text or 0 in such a column says that the span lacks the attribute.
fn in_column(statement: &mut Statement, promoted: &PromotedColumn, value: &str) {
    match (promoted.is_integer, value.parse::<i64>()) {
        (true, Ok(number)) if number != 0 => {
            statement.column(&promoted.column).sql(" = ");
            statement.value(Value::Signed(number)).sql(" OR ");
        }
        (false, _) if !value.is_empty() => {
            statement.column(&promoted.column).sql(" = ");
            statement.text(value).sql(" OR ");
        }
        _ => {}
    }
}

/// A key that a map lacks reads as an empty text, so that one is looked for by its key as well.
fn in_map(statement: &mut Statement, map: &'static str, key: &str, value: &str) {
    if value.is_empty() {
        statement
            .sql("(mapContains(")
            .sql(map)
            .sql(", ")
            .text(key)
            .sql(") AND ");
    }
    statement
        .sql(map)
        .sql("[")
        .text(key)
        .sql("] = ")
        .text(value);
    if value.is_empty() {
        statement.sql(")");
    }
}
