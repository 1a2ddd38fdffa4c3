//! Rates, errors and durations of services by time: a point every step, each over a window that ends with it.
//! Buckets as long as the greatest common divisor of step and window are counted once, then added up for every
//! window that holds them.

use clickhouse::Row;
use serde::Deserialize;
use spanmill_schema::Retention;

use super::source::{self, Part, Selection};
use crate::cache::{Cache, Span};
use crate::clickhouse::{ClickHouse, Statement, Value};
use crate::error::Error;
use crate::tables::{self, Asked, Resolution};

/// Points of one answer, as Prometheus bounds them.
pub(crate) const POINTS_MAX: i64 = 11_000;
/// Buckets of one window.
pub(crate) const WINDOW_BUCKETS_MAX: i64 = 2_000;

/// What is asked. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Red {
    pub selection: Selection,
    pub by_operation: bool,
    pub step: i64,
    pub window: i64,
    /// Which quantile of the durations, in millionths.
    pub quantile: u32,
}

/// A service, or an operation of it, at a time. Nothing was called where there is no point.
#[derive(Debug, Clone, PartialEq, Row, Deserialize)]
pub(crate) struct Point {
    /// Where its window ends, in nanoseconds since 1970.
    pub time: i64,
    pub service: String,
    /// Empty unless operations are told apart.
    pub operation: String,
    pub calls: u64,
    pub errors: u64,
    /// Nanoseconds.
    pub duration: f64,
}

/// Points that were read before.
pub(crate) type Known = Cache<(Red, Resolution), Point>;

/// An empty cache of so many bytes.
pub(crate) fn known(bytes_max: u64) -> Known {
    // The texts behind a point's fields count too.
    let bytes = |point: &Point| size_of::<Point>() + point.service.len() + point.operation.len();
    Cache::new(bytes_max, |point: &Point| point.time, bytes)
}

/// The points after `start` up to `end`, at multiples of the step, by time; and the table that they are from.
pub(crate) async fn points(
    clickhouse: &ClickHouse,
    known: &Known,
    red: &Red,
    (start, end): (i64, i64),
    now: i64,
    retention: Retention,
) -> Result<(Vec<Point>, Resolution), Error> {
    let asked = Asked {
        start: start / red.step * red.step - red.window + red.step,
        step: red.step,
        window: red.window,
    };
    let available = [Resolution::Raw, Resolution::Hour, Resolution::Day];
    let resolution = tables::choose(&available, asked, now, retention);
    let span = Span {
        after: start / red.step * red.step,
        until: end / red.step * red.step,
    };
    let key = (red.clone(), resolution);
    let fetch = |span| async move {
        let statement = statement(clickhouse, red, resolution, span);
        Ok(clickhouse.rows::<Point>(statement).await?.to_vec())
    };
    let points = known.points(key, span, now, fetch).await?;
    Ok((points, resolution))
}

fn statement(clickhouse: &ClickHouse, red: &Red, resolution: Resolution, span: Span) -> Statement {
    // Past the retention of spans, hours are all there is, however short the step.
    let bucket = common_divisor(red.step, red.window).max(resolution.width());
    let part = Part {
        resolution,
        start: (span.after + red.step - red.window) / bucket * bucket,
        end: span.until,
        bucket,
    };
    let buckets = (red.window / bucket).max(1);
    let mut statement = Statement::new("service points");
    statement
        .sql("SELECT (Bucket + 1 + arrayJoin(range(")
        .value(Value::Signed(buckets))
        .sql("))) * ")
        .value(Value::Signed(bucket))
        .sql(" AS time, toString(ServiceName) AS service, ")
        .sql(match red.by_operation {
            true => "toString(SpanName) AS operation, ",
            false => "'' AS operation, ",
        })
        .sql("sum(Calls) AS calls, sum(Errors) AS errors, toFloat64(quantileTDigestMerge(")
        .fraction(red.quantile)
        .sql(")(Digest)) AS duration FROM (");
    source::append(clickhouse, &mut statement, &red.selection, part);
    statement
        .sql(") WHERE time > ")
        .value(Value::Signed(span.after))
        .sql(" AND time <= ")
        .value(Value::Signed(span.until))
        .sql(" AND time % ")
        .value(Value::Signed(red.step))
        .sql(" = 0 GROUP BY time, service, operation ORDER BY time, service, operation");
    statement
}

fn common_divisor(a: i64, b: i64) -> i64 {
    match b {
        0 => a,
        _ => common_divisor(b, a % b),
    }
}

/// How many buckets a window has.
pub(crate) fn window_buckets(step: i64, window: i64) -> i64 {
    window / common_divisor(step, window).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: windows that are multiples of the step and that are not.
    /// Guarantees: buckets of which both are made up.
    #[test]
    fn buckets_make_up_step_and_window() {
        assert_eq!(window_buckets(60, 600), 10);
        assert_eq!(window_buckets(25, 60), 12);
        assert_eq!(window_buckets(600, 60), 1);
    }
}
