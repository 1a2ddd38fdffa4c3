//! Which traces fit: a search goes from the newest time back in windows that grow, and ends when it has
//! as many as were asked for, so that a narrow answer never costs a wide read.

use std::collections::HashSet;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::condition::{self, Tag};
use super::promoted::PromotedColumn;
use super::read::{Found, Stretch};
use super::{TraceId, Traces};
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

/// The first window, and the least that the second one has, in nanoseconds: spans are stored by the minute, within
/// which a shorter window reads hardly less. Then each is six times as long; half a century takes 11.
const WINDOW_FIRST: i64 = 60_000_000_000;
const WINDOW_SECOND: i64 = 600_000_000_000;
const WINDOW_GROWTH: i64 = 6;

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
struct FoundRow {
    trace: [u8; 16],
    first: i64,
    last: i64,
}

/// Traces that fit, those with the newest fitting span first.
pub(crate) async fn search(traces: &Traces, search: &Search) -> Result<Vec<Found>, Error> {
    let columns = traces.promoted.columns(&traces.clickhouse).await?;
    let tags = search
        .tags
        .iter()
        .map(|(key, value)| condition::tag(traces, &columns, key, value));
    let tags = futures_util::future::try_join_all(tags).await?;
    let question = Question {
        traces,
        search,
        columns: &columns,
        tags: &tags,
    };
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut window = WINDOW_FIRST;
    let mut end = search.end;
    while found.len() < search.traces_max && end >= search.start {
        let start = end.saturating_sub(window - 1).max(search.start);
        // Traces that were found before may be here again.
        let limit = (search.traces_max + found.len()) as u64;
        let statement = question.statement((start, end), limit);
        let rows: Arc<Vec<FoundRow>> = traces.clickhouse.rows(statement).await?;
        let new = rows.iter().filter(|row| seen.insert(row.trace));
        found.extend(new.map(|row| Found {
            id: TraceId(row.trace),
            seen: Some(Stretch {
                start: row.first,
                end: row.last,
            }),
        }));
        let Some(before) = start.checked_sub(1) else {
            break;
        };
        end = before;
        window = window.saturating_mul(WINDOW_GROWTH).max(WINDOW_SECOND);
    }
    found.truncate(search.traces_max);
    Ok(found)
}

/// A search and what is known of what it asks for.
struct Question<'a> {
    traces: &'a Traces,
    search: &'a Search,
    columns: &'a [PromotedColumn],
    tags: &'a [Tag],
}

impl Question<'_> {
    fn statement(&self, window: (i64, i64), limit: u64) -> Statement {
        let mut statement = Statement::new("search");
        statement.sql(
            "SELECT trace, toUnixTimestamp64Nano(min(earliest)) AS first, \
             toUnixTimestamp64Nano(max(latest)) AS last FROM (",
        );
        // The first tag is looked for in each of its places apart, so that their indexes are used.
        let places = self.tags.first().map_or(1, Tag::places);
        for place in 0..places {
            if place > 0 {
                statement.sql(" UNION ALL ");
            }
            self.of_place(&mut statement, window, place);
        }
        statement
            .sql(") GROUP BY trace ORDER BY last DESC, trace LIMIT ")
            .value(Value::Unsigned(limit));
        statement
    }

    fn of_place(&self, statement: &mut Statement, window: (i64, i64), place: usize) {
        statement.sql(
            "SELECT TraceId AS trace, min(Timestamp) AS earliest, max(Timestamp) AS latest FROM ",
        );
        self.span(statement, window);
        if let Some((first, others)) = self.tags.split_first() {
            statement.sql(" AND ");
            first.in_place(self.traces, self.columns, statement, place);
            for tag in others {
                statement.sql(" AND ");
                tag.anywhere(self.traces, self.columns, statement);
            }
        }
        statement.sql(" GROUP BY trace");
    }

    /// What a span must be like but for its tags.
    fn span(&self, statement: &mut Statement, (start, end): (i64, i64)) {
        let search = self.search;
        statement
            .sql(self.traces.clickhouse.name(Source::Traces))
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
    }
}
