//! How often, how well and how fast services answered over a range: whole weeks, days and hours from their
//! statistics, the ends of the range from spans. Ranges of half a day and more are taken in whole hours, of twelve days
//! and more in whole days.

use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use spanmill_schema::Retention;

use super::source::{self, Part, Selection};
use crate::clickhouse::{ClickHouse, Statement};
use crate::error::Error;
use crate::tables::Resolution;

const DAY: i64 = Resolution::Day.width();
/// From fine to coarse.
const TABLES: [Resolution; 4] = [
    Resolution::Raw,
    Resolution::Hour,
    Resolution::Day,
    Resolution::Week,
];
/// From so many hours or days on, one more or less at the ends says little, and what makes up the ends exactly is more
/// than all between them.
const WHOLE_FROM: i64 = 12;

/// What was seen of a service, or of an operation of it. Durations are in nanoseconds.
#[derive(Debug, Clone, Row, Deserialize)]
pub(crate) struct Total {
    pub service: String,
    /// Empty unless operations are told apart; so is `kind`.
    pub operation: String,
    pub kind: u8,
    pub calls: u64,
    pub errors: u64,
    pub total: u64,
    pub least: u64,
    pub most: u64,
    /// The 50th, 95th and 99th percentile.
    pub quantiles: Vec<f32>,
}

/// A range in parts: each is read from one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// What the parts make up, in nanoseconds since 1970; the end is not in it.
    pub start: i64,
    pub end: i64,
    pub parts: Vec<Part>,
}

/// Cuts a range (nanoseconds since 1970; the end is not in it).
pub(crate) fn cut(start: i64, end: i64, now: i64, retention: Retention) -> Parts {
    let is_raw_gone = start < now - i64::from(retention.raw_days) * DAY;
    let is_long = |whole: &Resolution| end - start >= WHOLE_FROM * whole.width();
    let whole = [Resolution::Day, Resolution::Hour]
        .into_iter()
        .find(is_long)
        .or(is_raw_gone.then_some(Resolution::Hour));
    let (start, end) = whole.map_or((start, end), |whole| (whole.down(start), whole.up(end)));
    let mut parts = Vec::new();
    fill(&TABLES, (start, end), now, &mut parts);
    Parts { start, end, parts }
}

/// Adds what makes up a range: the middle from the last of `tables`, the ends from those before it.
fn fill(tables: &[Resolution], (start, end): (i64, i64), now: i64, parts: &mut Vec<Part>) {
    let Some((coarsest, finer)) = tables.split_last() else {
        return;
    };
    let first = coarsest.up(start);
    // Rows of a time that runs have all spans that there are, so the future needs none of its own.
    let last = match end >= now {
        true => coarsest.up(end),
        false => coarsest.down(end),
    };
    if first < last {
        fill(finer, (start, first), now, parts);
        parts.push(part(*coarsest, first, last));
        fill(finer, (last, end), now, parts);
    } else if start < end {
        fill(finer, (start, end), now, parts);
    }
}

fn part(resolution: Resolution, start: i64, end: i64) -> Part {
    Part {
        resolution,
        start,
        end,
        // All of it in one; the number of the bucket is not used.
        bucket: i64::MAX,
    }
}

/// By service, or by service, operation and kind; the most called first, at most `limit`.
pub(crate) async fn totals(
    clickhouse: &ClickHouse,
    selection: &Selection,
    parts: &Parts,
    by_operation: bool,
    limit: u64,
) -> Result<Arc<Vec<Total>>, Error> {
    let mut statement = Statement::new("service totals");
    statement.sql("SELECT toString(ServiceName) AS service, ");
    statement.sql(match by_operation {
        true => "toString(SpanName) AS operation, SpanKind AS kind, ",
        false => "'' AS operation, toUInt8(0) AS kind, ",
    });
    statement.sql(
        "sum(Calls) AS calls, sum(Errors) AS errors, sum(Total) AS total, min(Least) AS least, \
         max(Most) AS most, quantilesTDigestMerge(0.5, 0.95, 0.99)(Digest) AS quantiles FROM (",
    );
    for (index, part) in parts.parts.iter().enumerate() {
        if index > 0 {
            statement.sql(" UNION ALL ");
        }
        source::append(clickhouse, &mut statement, selection, *part);
    }
    statement
        .sql(") GROUP BY service, operation, kind ORDER BY calls DESC, service, operation, kind LIMIT ")
        .value(crate::clickhouse::Value::Unsigned(limit));
    clickhouse.rows(statement).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = Resolution::Hour.width();
    const NOW: i64 = 500_000 * HOUR + HOUR / 2;
    const RETENTION: Retention = Retention {
        raw_days: 30,
        five_minute_days: 90,
        hour_days: 365,
    };

    fn shapes(start: i64, end: i64) -> Vec<(Resolution, i64, i64)> {
        let cut = cut(start, end, NOW, RETENTION);
        let shape = |part: &Part| (part.resolution, part.start, part.end);
        cut.parts.iter().map(shape).collect()
    }

    /// Scenario: ranges within an hour, over hours, up to now, of many days, and of a month, of a time whose spans are gone.
    /// Guarantees: parts join without gap or overlap; spans are read for ends alone, never for long ranges or
    /// gone ones; the hour that runs comes from the statistics.
    #[test]
    fn ranges_are_cut_at_hours() {
        use Resolution::{Day, Hour, Raw, Week};
        let at = |hours: f64| NOW - (hours * HOUR as f64) as i64;
        let (a, b) = (at(3.75), at(1.25));
        assert_eq!(
            shapes(a, b),
            [
                (Raw, a, at(3.5)),
                (Hour, at(3.5), at(1.5)),
                (Raw, at(1.5), b)
            ]
        );
        assert_eq!(shapes(at(1.5), at(0.5)), [(Hour, at(1.5), at(0.5))]);
        assert_eq!(shapes(at(0.25), NOW), [(Raw, at(0.25), NOW)]);
        assert_eq!(
            shapes(at(1.0), NOW),
            [(Raw, at(1.0), at(0.5)), (Hour, at(0.5), at(-0.5))]
        );
        // NOW is half past eight in the morning.
        let midnight = at(8.5);
        assert_eq!(
            shapes(at(49.25), NOW),
            [
                (Hour, at(49.5), midnight - DAY),
                (Day, midnight - DAY, midnight + DAY)
            ]
        );
        assert_eq!(
            shapes(midnight - 2 * DAY, midnight + 3 * HOUR),
            [
                (Day, midnight - 2 * DAY, midnight),
                (Hour, midnight, midnight + 3 * HOUR)
            ]
        );
        // The day is a Friday.
        assert_eq!(
            shapes(at(30.0 * 24.0), NOW),
            [
                (Day, midnight - 30 * DAY, midnight - 25 * DAY),
                (Week, midnight - 25 * DAY, midnight + 3 * DAY)
            ]
        );
        let old = at(40.0 * 24.0 + 0.25);
        assert_eq!(shapes(old, old + HOUR / 4), [(Hour, at(960.5), at(959.5))]);
    }
}
