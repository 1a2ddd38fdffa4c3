//! What a list of traces shows of each: its root, its time, how many spans of which services, how many failed.
//! Reads six narrow columns instead of whole spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::read::{self, Found, Stretch};
use super::{SpanId, TraceId, Traces};
use crate::clickhouse::{Source, Statement};
use crate::error::Error;

/// A trace in a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    pub id: TraceId,
    /// Of the span without a parent, or of the first one if all have parents.
    pub root_service: String,
    pub root_operation: String,
    /// Nanoseconds since 1970.
    pub start: i64,
    /// Nanoseconds since 1970.
    pub end: i64,
    pub spans: usize,
    pub errors: usize,
    /// Spans whose parent is not there.
    pub orphans: usize,
    /// Spans and errors by service.
    pub services: BTreeMap<String, (usize, usize)>,
}

#[derive(Row, Deserialize)]
struct SpanRow {
    trace: [u8; 16],
    id: SpanId,
    parent: SpanId,
    service: String,
    name: String,
    status: u8,
    start: i64,
    duration: u64,
}

/// Those of the traces that are stored, in that order.
pub(crate) async fn summaries(traces: &Traces, wanted: &[Found]) -> Result<Vec<Summary>, Error> {
    let statement = |stretches: &[Stretch]| statement(traces, wanted, stretches);
    let rows: Arc<Vec<SpanRow>> = read::spans(traces, wanted, statement).await?;
    let mut by_id: HashMap<_, Vec<&SpanRow>> = HashMap::new();
    for row in rows.iter() {
        by_id.entry(row.trace).or_default().push(row);
    }
    let found = wanted.iter().filter_map(|Found { id, .. }| {
        let mut spans = by_id.remove(&id.0)?;
        spans.sort_by_key(|span| (span.start, span.id));
        Some(summary(*id, &spans))
    });
    Ok(found.collect())
}

fn statement(traces: &Traces, wanted: &[Found], stretches: &[Stretch]) -> Statement {
    let mut statement = Statement::new("trace summaries");
    statement
        .sql(
            "SELECT TraceId AS trace, SpanId AS id, ParentSpanId AS parent, ServiceName AS service, \
             SpanName AS name, StatusCode AS status, toUnixTimestamp64Nano(Timestamp) AS start, \
             Duration AS duration FROM ",
        )
        .sql(traces.clickhouse.name(Source::Traces));
    read::of_traces(&mut statement, wanted, stretches);
    statement
}

/// Of at least one span, by start.
fn summary(id: TraceId, spans: &[&SpanRow]) -> Summary {
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    let is_orphan = |span: &&&SpanRow| span.parent != [0; 8] && !ids.contains(&span.parent);
    let root = spans.iter().find(|span| span.parent == [0; 8]);
    let root = root.or(spans.first());
    let mut services: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for span in spans {
        let (count, errors) = services.entry(span.service.clone()).or_default();
        *count += 1;
        *errors += usize::from(span.status == 2);
    }
    let end = |span: &&SpanRow| span.start.saturating_add_unsigned(span.duration);
    Summary {
        id,
        root_service: root.map_or_else(String::new, |root| root.service.clone()),
        root_operation: root.map_or_else(String::new, |root| root.name.clone()),
        start: spans.first().map_or(0, |span| span.start),
        end: spans.iter().map(end).max().unwrap_or(0),
        spans: spans.len(),
        errors: services.values().map(|(_, errors)| errors).sum(),
        orphans: spans.iter().filter(is_orphan).count(),
        services,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: u8, service: &str, status: u8) -> SpanRow {
        SpanRow {
            trace: [9; 16],
            id: [id; 8],
            parent: [parent; 8],
            service: service.into(),
            name: format!("{service} {id}"),
            status,
            start: i64::from(id) * 10,
            duration: 100 - u64::from(id),
        }
    }

    /// Scenario: a trace of three services in which one span failed and one lost its parent; another one
    /// without a root.
    /// Guarantees: the root is the span without a parent, else the first; counts by service; the last end.
    #[test]
    fn a_trace_in_a_list() {
        let spans = [
            span(1, 7, "late", 0),
            span(2, 0, "shop", 0),
            span(3, 2, "db", 2),
        ];
        let all: Vec<_> = spans.iter().collect();
        let found = summary(TraceId([9; 16]), &all);
        assert_eq!(found.root_operation, "shop 2");
        assert_eq!((found.start, found.end), (10, 127));
        assert_eq!((found.spans, found.errors, found.orphans), (3, 1, 1));
        assert_eq!(found.services["db"], (1, 1));
        assert_eq!(summary(TraceId([9; 16]), &all[..1]).root_service, "late");
    }
}
