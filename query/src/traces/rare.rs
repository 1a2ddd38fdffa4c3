//! What few spans have: links, and attributes of their scope. Rows of spans come in, which count what each has; what
//! they have is read for those alone. Nine of 44 columns, without which ClickHouse takes a tenth less for a trace.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::read::{self, Found, Stretch};
use super::row::Map;
use super::span::{Attribute, Link, SpanId, attributes};
use super::{TraceId, Traces};
use crate::clickhouse::{Source, Statement};
use crate::error::Error;

const COLUMNS: &str = "toUnixTimestamp64Nano(Timestamp) AS start, TraceId AS trace, SpanId AS id, \
    ScopeAttributes AS scope_attributes, ScopeAttributeTypes AS scope_types, \
    `Links.TraceId` AS link_traces, `Links.SpanId` AS link_spans, `Links.TraceState` AS link_states, \
    `Links.Flags` AS link_flags, `Links.Attributes` AS link_attributes, \
    `Links.AttributeTypes` AS link_types, `Links.DroppedAttributesCount` AS link_dropped";

#[derive(Row, Deserialize)]
struct RareRow {
    start: i64,
    trace: [u8; 16],
    id: SpanId,
    scope_attributes: Map,
    scope_types: Vec<u8>,
    link_traces: Vec<[u8; 16]>,
    link_spans: Vec<SpanId>,
    link_states: Vec<String>,
    link_flags: Vec<u32>,
    link_attributes: Vec<Map>,
    link_types: Vec<Vec<u8>>,
    link_dropped: Vec<u32>,
}

/// What one span has.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub scope_attributes: Vec<Attribute>,
    pub links: Vec<Link>,
}

/// What tells a span from others, and how many of each it has: spans that share all of it, as one that was sent twice
/// does, share what they have too, or it does not matter which has which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    pub trace: [u8; 16],
    pub id: SpanId,
    /// Nanoseconds since 1970.
    pub start: i64,
    pub links: u64,
    pub scope_attributes: u64,
}

/// What some spans have, until it is taken.
#[derive(Default)]
pub(super) struct RareOfSpans(HashMap<Counted, Vec<Rare>>);

impl RareOfSpans {
    /// What the span has.
    pub(super) fn take(&mut self, span: &Counted) -> Rare {
        let alike = self.0.get_mut(span);
        alike.and_then(Vec::pop).unwrap_or_default()
    }

    fn add(&mut self, row: &RareRow) {
        self.0.entry(row.counted()).or_default().push(row.rare());
    }
}

/// What these spans have, by one more query if any of them has any.
pub(super) async fn read(
    traces: &Traces,
    spans: impl Iterator<Item = Counted>,
) -> Result<RareOfSpans, Error> {
    let wanted = wanted(spans);
    if wanted.is_empty() {
        return Ok(RareOfSpans::default());
    }
    let seen = wanted.iter().filter_map(|found| found.seen);
    let mut statement = Statement::new("trace rare");
    statement
        .sql("SELECT ")
        .sql(COLUMNS)
        .sql(" FROM ")
        .sql(traces.clickhouse.name(Source::Traces));
    read::of_traces(&mut statement, &wanted, &read::joined(seen.collect()));
    statement.sql(" AND (notEmpty(`Links.TraceId`) OR notEmpty(ScopeAttributes))");
    let rows: Arc<Vec<RareRow>> = traces.clickhouse.rows(statement).await?;
    let mut of_spans = RareOfSpans::default();
    rows.iter().for_each(|row| of_spans.add(row));
    Ok(of_spans)
}

/// The traces of those that have any, each seen from where the first of them is to where the last is.
fn wanted(spans: impl Iterator<Item = Counted>) -> Vec<Found> {
    let mut traces: HashMap<[u8; 16], Stretch> = HashMap::new();
    for span in spans.filter(|span| span.links > 0 || span.scope_attributes > 0) {
        let (start, end) = (span.start, span.start);
        let seen = traces.entry(span.trace).or_insert(Stretch { start, end });
        seen.start = seen.start.min(start);
        seen.end = seen.end.max(end);
    }
    let found = traces.into_iter().map(|(id, seen)| Found {
        id: TraceId(id),
        seen: Some(seen),
    });
    let mut found: Vec<_> = found.collect();
    // Equal questions are equal statements.
    found.sort_unstable_by_key(|found| found.id);
    found
}

impl RareRow {
    fn counted(&self) -> Counted {
        Counted {
            trace: self.trace,
            id: self.id,
            start: self.start,
            links: self.link_traces.len() as u64,
            scope_attributes: self.scope_attributes.len() as u64,
        }
    }

    fn rare(&self) -> Rare {
        let link = |index: usize| Link {
            trace: TraceId(self.link_traces[index]),
            span: self.link_spans[index],
            trace_state: self.link_states[index].clone(),
            flags: self.link_flags[index],
            attributes: attributes(self.link_attributes[index].clone(), &self.link_types[index]),
            dropped_attributes: self.link_dropped[index],
        };
        Rare {
            scope_attributes: attributes(self.scope_attributes.clone(), &self.scope_types),
            // The arrays of a nested column are equally long.
            links: (0..self.link_traces.len()).map(link).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rare(trace: u8, id: u8, start: i64, links: u64) -> RareRow {
        let count = links as usize;
        RareRow {
            start,
            trace: [trace; 16],
            id: [id; 8],
            scope_attributes: Map::default(),
            scope_types: Vec::default(),
            link_traces: vec![[9; 16]; count],
            link_spans: vec![[id; 8]; count],
            link_states: vec![String::new(); count],
            link_flags: vec![0; count],
            link_attributes: vec![Map::default(); count],
            link_types: vec![Vec::default(); count],
            link_dropped: vec![0; count],
        }
    }

    /// Scenario: a span with a link, one that shares its id and time and has two, the first once more, and one without.
    /// Guarantees: each gets its own; what the rows count is looked for from the first to the last of each trace.
    #[test]
    fn each_span_gets_its_own() {
        let stored = [rare(1, 1, 5, 1), rare(1, 1, 5, 2), rare(1, 1, 5, 1)];
        let mut of_spans = RareOfSpans::default();
        stored.iter().for_each(|row| of_spans.add(row));
        let span = |trace, id, start, links| Counted {
            trace: [trace; 16],
            id: [id; 8],
            start,
            links,
            scope_attributes: 0,
        };
        for links in [2, 1, 1, 0] {
            let taken = of_spans.take(&span(1, 1, 5, links));
            assert_eq!(taken.links.len() as u64, links);
        }
        assert!(of_spans.take(&span(1, 1, 5, 1)).links.is_empty());
        let spans = [
            span(2, 1, 5, 1),
            span(1, 1, 7, 1),
            span(1, 2, 3, 2),
            span(3, 1, 9, 0),
        ];
        let found = wanted(spans.into_iter());
        let seen = |found: &Found| (found.id.0[0], found.seen.map(|seen| (seen.start, seen.end)));
        let found: Vec<_> = found.iter().map(seen).collect();
        assert_eq!(found, [(1, Some((3, 7))), (2, Some((5, 5)))]);
    }
}
