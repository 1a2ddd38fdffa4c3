//! Whether what was acknowledged is stored, and once: marks and counts of a run go in, what ClickHouse holds of
//! them comes out. It reads the rows themselves, in slices of time that take bounded memory.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::MARK;
use crate::clickhouse::ClickHouse;
use crate::error::Error;

/// Spans in one slice, about: counting so many ids takes ClickHouse some 100 MB.
const SLICE_SPANS: f64 = 2e6;
const HOUR_NANOS: i64 = 3_600_000_000_000;
/// How often the number of stored rows is asked for, and for how long it may stay the same.
const POLL: Duration = Duration::from_millis(500);
const STILL: Duration = Duration::from_secs(10);

/// What a stretch of load was told, for spans that carry its mark.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Value of the attribute [`crate::MARK`] of its resources.
    pub mark: String,
    /// When it began and ended, in nanoseconds since 1970.
    pub unix_nanos: (u64, u64),
    /// Spans that were acknowledged.
    pub acknowledged: u64,
    /// Spans of which nobody knows: refused, or not answered. Each may be stored at most once.
    pub uncertain: u64,
    /// Whether each span has an id of its own.
    pub has_own_ids: bool,
}

/// What is stored of a stretch of load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its mark.
    pub mark: String,
    /// As it was told.
    pub acknowledged: u64,
    /// As it was told.
    pub uncertain: u64,
    /// Rows with its mark.
    pub rows: u64,
    /// Different pairs of trace id and span id among them; none where ids repeat by design.
    pub distinct: Option<u64>,
}

impl Stored {
    /// Acknowledged spans that are surely not stored.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.acknowledged
            .saturating_sub(self.distinct.unwrap_or(self.rows))
    }

    /// Rows that are surely too many: stored twice, or never sent.
    #[must_use]
    pub fn surplus(&self) -> u64 {
        let distinct = self.distinct.unwrap_or(self.rows);
        (self.rows - distinct.min(self.rows))
            + distinct.saturating_sub(self.acknowledged + self.uncertain)
    }
}

#[derive(Deserialize)]
struct Range {
    rows: u64,
    first: i64,
    last: i64,
}

#[derive(Deserialize)]
struct Slice {
    rows: u64,
    distinct: u64,
}

const OF_MARK: &str = "
FROM spanmill.otel_traces
WHERE ResourceId IN
    (SELECT ResourceId FROM spanmill.otel_resources WHERE Attributes[{key:String}] = {mark:String})
    AND Timestamp >= fromUnixTimestamp64Nano({from:Int64}) AND Timestamp < fromUnixTimestamp64Nano({until:Int64})";

/// Counts the rows of one stretch, each slice by itself. Duplicates of a row have its time, so they are in one.
///
/// # Errors
/// When ClickHouse does not answer.
pub(crate) async fn stored(clickhouse: &ClickHouse, sent: &Sent) -> Result<Stored, Error> {
    let whole = window(sent);
    let range = range(clickhouse, sent, whole).await?;
    let mut stored = Stored {
        mark: sent.mark.clone(),
        acknowledged: sent.acknowledged,
        uncertain: sent.uncertain,
        rows: 0,
        distinct: None,
    };
    if !sent.has_own_ids || range.rows == 0 {
        stored.rows = range.rows;
        stored.distinct = sent.has_own_ids.then_some(0);
        return Ok(stored);
    }
    let slices = (range.rows as f64 / SLICE_SPANS).ceil().max(1.0) as i64;
    let length = (range.last - range.first) / slices + 1;
    let mut distinct = 0;
    for slice in 0..slices {
        let from = range.first + slice * length;
        let sql =
            format!("SELECT count() AS rows, uniqExact(TraceId, SpanId) AS distinct {OF_MARK}");
        let rows: Vec<Slice> = asked(clickhouse, &sql, sent, (from, from + length)).await?;
        for slice in rows {
            stored.rows += slice.rows;
            distinct += slice.distinct;
        }
    }
    stored.distinct = Some(distinct);
    Ok(stored)
}

/// Waits until as many rows are stored as were acknowledged, or none came for a while.
///
/// # Errors
/// When ClickHouse does not answer.
pub(crate) async fn await_stored(
    clickhouse: &ClickHouse,
    sent: &Sent,
    patience: Duration,
) -> Result<(), Error> {
    let begun = Instant::now();
    let (mut most, mut since) = (0, begun);
    loop {
        let rows = range(clickhouse, sent, window(sent)).await?.rows;
        if rows > most {
            (most, since) = (rows, Instant::now());
        }
        if rows >= sent.acknowledged || since.elapsed() > STILL || begun.elapsed() > patience {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn range(clickhouse: &ClickHouse, sent: &Sent, window: (i64, i64)) -> Result<Range, Error> {
    let sql = format!(
        "SELECT count() AS rows, toUnixTimestamp64Nano(min(Timestamp)) AS first, \
         toUnixTimestamp64Nano(max(Timestamp)) AS last {OF_MARK}"
    );
    let rows = asked(clickhouse, &sql, sent, window).await?;
    let none = Range {
        rows: 0,
        first: 0,
        last: 0,
    };
    Ok(rows.into_iter().next().unwrap_or(none))
}

/// Spans begin before they are sent, some by minutes.
fn window(sent: &Sent) -> (i64, i64) {
    let [from, until] = [sent.unix_nanos.0, sent.unix_nanos.1].map(|nanos| nanos as i64);
    (from - HOUR_NANOS, until + HOUR_NANOS)
}

async fn asked<T: serde::de::DeserializeOwned>(
    clickhouse: &ClickHouse,
    sql: &str,
    sent: &Sent,
    (from, until): (i64, i64),
) -> Result<Vec<T>, Error> {
    let (from, until) = (from.to_string(), until.to_string());
    let parameters = [
        ("key", MARK),
        ("mark", sent.mark.as_str()),
        ("from", from.as_str()),
        ("until", until.as_str()),
    ];
    clickhouse.rows_of_all(sql, &parameters).await
}
