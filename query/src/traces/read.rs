//! Traces by their ids: first the time range from the index, then the spans of that range from the base
//! table, then each resource once. Never a scan, and never through the compatibility views.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use spanmill_schema::ValueType;

use super::promoted::{self, PromotedColumn};
use super::span::attributes;
use super::{Attribute, Event, Link, Resource, Span, Trace, TraceId, Traces};
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

type Map = Vec<(String, String)>;

#[derive(Row, Deserialize)]
struct Range {
    start: i64,
    end: i64,
    found: u64,
}

#[derive(Row, Deserialize)]
struct SpanRow {
    start: i64,
    trace: [u8; 16],
    id: [u8; 8],
    parent: [u8; 8],
    trace_state: String,
    flags: u32,
    name: String,
    kind: u8,
    service: String,
    resource: u64,
    scope_name: String,
    scope_version: String,
    duration: u64,
    status: u8,
    status_message: String,
    promoted: Vec<String>,
    attributes: Map,
    types: Vec<u8>,
    event_times: Vec<i64>,
    event_names: Vec<String>,
    event_attributes: Vec<Map>,
    event_types: Vec<Vec<u8>>,
    link_traces: Vec<[u8; 16]>,
    link_spans: Vec<[u8; 8]>,
    link_attributes: Vec<Map>,
    link_types: Vec<Vec<u8>>,
}

#[derive(Row, Deserialize)]
struct ResourceRow {
    id: u64,
    attributes: Map,
    types: Vec<u8>,
}

/// The traces of these ids that are stored, in that order, and the resources of their spans.
pub(crate) async fn read(
    traces: &Traces,
    ids: &[TraceId],
) -> Result<(Vec<Trace>, HashMap<u64, Resource>), Error> {
    let Some(range) = range(traces, ids).await? else {
        return Ok((Vec::new(), HashMap::new()));
    };
    let columns = traces.promoted.columns(&traces.clickhouse).await?;
    let statement = spans_statement(traces, &columns, ids, &range);
    let rows: Arc<Vec<SpanRow>> = traces.clickhouse.rows(statement).await?;
    let resources = resources(traces, &rows).await?;
    let mut by_id: HashMap<_, Vec<Span>> = HashMap::new();
    for row in rows.iter() {
        by_id
            .entry(row.trace)
            .or_default()
            .push(span(row, &columns));
    }
    let found = ids.iter().filter_map(|id| {
        let spans = by_id.remove(&id.0)?;
        Some(Trace { id: *id, spans })
    });
    Ok((found.collect(), resources))
}

async fn range(traces: &Traces, ids: &[TraceId]) -> Result<Option<Range>, Error> {
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
    statement.sql(
        "SELECT toUnixTimestamp64Nano(Timestamp) AS start, TraceId AS trace, SpanId AS id, \
         ParentSpanId AS parent, TraceState AS trace_state, Flags AS flags, SpanName AS name, \
         SpanKind AS kind, ServiceName AS service, ResourceId AS resource, ScopeName AS scope_name, \
         ScopeVersion AS scope_version, Duration AS duration, StatusCode AS status, \
         StatusMessage AS status_message, ",
    );
    promoted::select(&mut statement, columns);
    statement
        .sql(
            " AS promoted, SpanAttributes AS attributes, SpanAttributeTypes AS types, \
             arrayMap(time -> toUnixTimestamp64Nano(time), `Events.Timestamp`) AS event_times, \
             `Events.Name` AS event_names, `Events.Attributes` AS event_attributes, \
             `Events.AttributeTypes` AS event_types, `Links.TraceId` AS link_traces, \
             `Links.SpanId` AS link_spans, `Links.Attributes` AS link_attributes, \
             `Links.AttributeTypes` AS link_types FROM ",
        )
        .sql(traces.clickhouse.name(Source::Traces))
        .sql(" WHERE Timestamp >= ")
        .time(range.start)
        .sql(" AND Timestamp <= ")
        .time(range.end)
        // As text, because the skip index is on that.
        .sql(" AND lower(hex(TraceId)) IN ")
        .value(texts(ids))
        .sql(" ORDER BY start, id");
    statement
}

async fn resources(traces: &Traces, rows: &[SpanRow]) -> Result<HashMap<u64, Resource>, Error> {
    let mut ids: Vec<u64> = rows.iter().map(|row| row.resource).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut statement = Statement::new("resources");
    statement
        .sql("SELECT ResourceId AS id, Attributes AS attributes, AttributeTypes AS types FROM ")
        .sql(traces.clickhouse.name(Source::Resources))
        .sql(" WHERE ResourceId IN ")
        .value(Value::Unsigneds(ids))
        .sql(" LIMIT 1 BY ResourceId");
    let rows: Arc<Vec<ResourceRow>> = traces.clickhouse.rows(statement).await?;
    let resource = |row: &ResourceRow| {
        let attributes = attributes(&row.attributes, &row.types);
        (row.id, Resource { attributes })
    };
    Ok(rows.iter().map(resource).collect())
}

fn texts(ids: &[TraceId]) -> Value {
    Value::Texts(ids.iter().map(TraceId::to_string).collect())
}

fn span(row: &SpanRow, columns: &[PromotedColumn]) -> Span {
    let own = row.promoted.iter().zip(columns);
    let own = own.filter(|(text, _)| !text.is_empty());
    let own = own.map(|(text, column)| Attribute {
        key: column.key.clone(),
        text: text.clone(),
        kind: match column.is_integer {
            true => ValueType::Int,
            false => ValueType::String,
        },
    });
    let mut all = attributes(&row.attributes, &row.types);
    all.extend(own);
    Span {
        start: row.start,
        duration: row.duration,
        id: row.id,
        parent: row.parent,
        trace_state: row.trace_state.clone(),
        flags: row.flags,
        name: row.name.clone(),
        kind: row.kind,
        service: row.service.clone(),
        resource: row.resource,
        scope_name: row.scope_name.clone(),
        scope_version: row.scope_version.clone(),
        status: row.status,
        status_message: row.status_message.clone(),
        attributes: all,
        events: events(row),
        links: links(row),
    }
}

fn events(row: &SpanRow) -> Vec<Event> {
    let event = |index: usize| Event {
        time: row.event_times[index],
        name: row.event_names[index].clone(),
        attributes: attributes(&row.event_attributes[index], &row.event_types[index]),
    };
    // The arrays of a nested column are equally long.
    (0..row.event_times.len()).map(event).collect()
}

fn links(row: &SpanRow) -> Vec<Link> {
    let link = |index: usize| Link {
        trace: TraceId(row.link_traces[index]),
        span: row.link_spans[index],
        attributes: attributes(&row.link_attributes[index], &row.link_types[index]),
    };
    (0..row.link_traces.len()).map(link).collect()
}
