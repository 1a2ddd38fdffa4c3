//! Rollups of random points against what the points themselves say, through late, repeated and retried
//! inserts, and what becomes of buckets that a refresh could not finish.

mod oracle;
mod points;
#[path = "../support/mod.rs"]
mod support;
mod table;

use fastrand::Rng;
use oracle::{Row, counter, rollup};
use points::{DELTA, HISTOGRAM, Point, SECOND, SUM, generate, insert};
use spanmill_embedded::testing::TestServer;
use std::collections::BTreeMap;
use support::{ask, migrated};

const KINDS: [&str; 3] = ["numbers", "histograms", "exponential_histograms"];

/// Runs the refreshes of one table now, whatever their schedule, and waits for them.
fn refresh(server: &TestServer, table: &str) {
    for kind in KINDS {
        let view = format!("spanmill.{table}_{kind}");
        ask(server, &format!("SYSTEM REFRESH VIEW {view}"));
        ask(server, &format!("SYSTEM WAIT VIEW {view}"));
    }
}

/// Midnight some days ago, in seconds since 1970: all buckets after it are closed.
fn days_ago(server: &TestServer, days: u32) -> i64 {
    let sql = format!("SELECT toUnixTimestamp(toStartOfDay(now(), 'UTC')) - {days} * 86400");
    ask(server, &sql).parse().expect("seconds")
}

fn seed() -> u64 {
    let seed = std::env::var("SPANMILL_TEST_SEED").map_or_else(
        |_| fastrand::u64(..),
        |text| text.parse().expect("a number in SPANMILL_TEST_SEED"),
    );
    eprintln!("SPANMILL_TEST_SEED={seed}");
    seed
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Floats are compared to 1e-9, everything else exactly.
fn assert_same(found: &BTreeMap<oracle::Key, Row>, expected: &BTreeMap<oracle::Key, Row>) {
    let keys = |rows: &BTreeMap<oracle::Key, Row>| rows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for (key, expected) in expected {
        let found = &found[key];
        let mut floats = found.floats.iter().zip(expected.floats);
        let near = floats.all(|(a, b)| close(*a, b));
        let others = |row: &Row| Row {
            floats: [0.0; 6],
            ..row.clone()
        };
        assert!(
            near && others(found) == others(expected),
            "{key:?}\n found   {found:?}\n expected {expected:?}"
        );
    }
}

fn assert_exact(server: &TestServer, points: &[Point]) {
    refresh(server, "otel_metrics_5m");
    assert_same(
        &table::read(server, "otel_metrics_5m"),
        &rollup(points, 300),
    );
    refresh(server, "otel_metrics_1h");
    assert_same(
        &table::read(server, "otel_metrics_1h"),
        &rollup(points, 3600),
    );
}

/// Scenario: points of all kinds over two and a half hours with resets, gaps, stale markers, points on
/// the borders of buckets, changing bounds, scales and temporalities; seven tenths of them, shuffled,
/// come first, then most of the rest, then the last ones, each insert sent twice under its token, with a
/// refresh after each part.
/// Guarantees: after every refresh each row of both tables is the one that the points stored so far
/// make, so late, unordered, repeated and retried points change nothing but what they should; nothing
/// stays pending.
#[tokio::test]
async fn rows_are_those_that_the_points_make() {
    let (server, _) = migrated().await;
    let mut random = Rng::with_seed(seed());
    let mut points = generate(&mut random, 28, days_ago(&server, 3) - 3600, 9_000);
    random.shuffle(&mut points);
    let (most, rest) = (points.len() * 7 / 10, points.len() * 19 / 20);
    let mut from = 0;
    for to in [most, rest, points.len()] {
        for batch in points[from..to].chunks(700) {
            let statement = insert(batch, &format!("token-{}", random.u64(..)));
            ask(&server, &statement);
            ask(&server, &statement);
        }
        from = to;
        assert_exact(&server, &points[..to]);
        for table in ["otel_metrics_5m", "otel_metrics_1h"] {
            let pending = format!("SELECT count() FROM spanmill.{table}_pending");
            assert_eq!(ask(&server, &pending), "0", "{table}");
        }
    }
    assert_eq!(
        ask(
            &server,
            "SELECT (SELECT sum(Points) FROM spanmill.otel_metrics_dirty), \
             (SELECT count() FROM spanmill.otel_metrics)"
        ),
        format!("{0}\t{0}", points.len())
    );
}

/// What a query over several rows of a series says: increase, count, sum, least, greatest, last value.
fn over_rows<'a>(rows: impl Iterator<Item = &'a Row>) -> [f64; 6] {
    let mut answer = [0.0, 0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut before: Option<&Row> = None;
    for row in rows.filter(|row| row.samples > 0) {
        let [first, last, increase, min, max, sum] = row.floats;
        answer[0] += increase;
        if let Some(before) = before.filter(|_| row.temporality != DELTA) {
            let from = before.floats[1];
            answer[0] += first - if first < from { 0.0 } else { from };
        }
        answer[1] += row.samples as f64;
        answer[2] += sum;
        answer[3] = answer[3].min(min);
        answer[4] = answer[4].max(max);
        answer[5] = last;
        before = Some(row);
    }
    answer
}

/// Scenario: the same kinds of points; random ranges that begin and end with a bucket are asked of the
/// rows of both tables, as a query would, and of the points.
/// Guarantees: increase, count, sum (so the average), least, greatest and last value of a series agree,
/// and so does each cumulative bucket of histograms: what rate() and quantiles are made of.
#[tokio::test]
async fn queries_over_rows_agree_with_the_points() {
    let (server, _) = migrated().await;
    let mut random = Rng::with_seed(seed());
    let (start, hours) = (days_ago(&server, 2), 4);
    let points = generate(&mut random, 21, start, hours * 3600);
    for batch in points.chunks(1_000) {
        ask(&server, &insert(batch, ""));
    }
    for (table, width) in [("otel_metrics_5m", 300), ("otel_metrics_1h", 3600)] {
        refresh(&server, table);
        let rows = table::read(&server, table);
        for _ in 0..500 {
            let steps = hours * 3600 / width;
            let from = random.i64(0..steps);
            let to = random.i64(from..steps) + 1;
            let (from, to) = (start + from * width, start + to * width);
            let series = random.u64(..21);
            let within = |time: i64| time > from * SECOND && time <= to * SECOND;
            let chosen: Vec<_> = points
                .iter()
                .filter(|p| p.series == series && within(p.time))
                .collect();
            let samples = oracle::samples(&chosen);
            let Some(sample) = samples.last() else {
                continue;
            };
            let rows = rows
                .iter()
                .filter(|(key, _)| key.0 == series && (from..to).contains(&key.1));
            if sample.kind <= SUM {
                numbers_agree(&samples, rows.map(|(_, row)| row));
            } else if sample.kind == HISTOGRAM && sample.temporality != DELTA {
                buckets_agree(&samples, rows);
            }
        }
    }
}

fn numbers_agree<'a>(samples: &[&Point], rows: impl Iterator<Item = &'a Row>) {
    let values: Vec<_> = samples.iter().map(|p| p.value).collect();
    let step = |pair: &[f64]| pair[1] - if pair[1] < pair[0] { 0.0 } else { pair[0] };
    let expected = [
        if samples[0].temporality == DELTA {
            values.iter().sum()
        } else {
            values.windows(2).map(step).sum()
        },
        values.len() as f64,
        values.iter().sum(),
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        values[values.len() - 1],
    ];
    let found = over_rows(rows);
    assert!(
        found.iter().zip(expected).all(|(a, b)| close(*a, b)),
        "{found:?} {expected:?}"
    );
}

/// Each layout's cumulative buckets, as counters of their own.
fn buckets_agree<'a>(samples: &[&Point], rows: impl Iterator<Item = (&'a oracle::Key, &'a Row)>) {
    let mut found: BTreeMap<&str, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
    for (key, row) in rows.filter(|(_, row)| row.samples > 0) {
        let (total, last) = found.entry(&key.2).or_default();
        let [first, row_last, increase] = &row.buckets;
        total.resize(first.len(), 0);
        for le in 0..first.len() {
            let from = last.get(le).copied().filter(|from| *from <= first[le]);
            let step = if last.is_empty() {
                0
            } else {
                first[le] - from.unwrap_or(0)
            };
            total[le] += increase[le] + step;
        }
        last.clone_from(row_last);
    }
    for (bounds, (total, _)) in found {
        let same: Vec<_> = samples
            .iter()
            .filter(|p| format!("{:?}", p.bounds).replace(' ', "").replace(".0", "") == bounds)
            .collect();
        for (le, total) in total.iter().enumerate() {
            let counts: Vec<u64> = same
                .iter()
                .map(|p| {
                    p.buckets
                        .get(..=le)
                        .map_or(p.count, |below| below.iter().sum())
                })
                .collect();
            assert_eq!(counter(&counts, 0)[2], *total, "{bounds} {le}");
        }
    }
}

/// A counter's points, one a second from the start of a bucket.
fn seconds(series: u64, start: i64, range: std::ops::Range<i64>) -> Vec<Point> {
    let at = |second| Point {
        series,
        kind: SUM,
        temporality: 2,
        time: (start + second) * SECOND,
        has_value: true,
        value: second as f64,
        ..Point::default()
    };
    range.map(at).collect()
}

/// Scenario: a refresh fails because the table takes no row of one series; another one writes the rows of
/// one of a bucket's two series and stops; then the obstacle is gone.
/// Guarantees: what a failed refresh left is not taken for done: the next one brings all rows of both
/// tables to the truth.
#[tokio::test]
async fn what_a_failed_refresh_left_is_done_by_the_next() {
    let (server, _) = migrated().await;
    let start = days_ago(&server, 2);
    let mut points = [seconds(3, start, 1..50), seconds(6, start, 1..700)].concat();
    ask(&server, &insert(&points, ""));
    assert_exact(&server, &points);

    let late = [seconds(3, start, 50..60), seconds(6, start, 700..900)].concat();
    ask(&server, &insert(&late, ""));
    points.extend(late);
    let table = "spanmill.otel_metrics_5m";
    ask(
        &server,
        &format!("ALTER TABLE {table} ADD CONSTRAINT none CHECK SeriesId != 6"),
    );
    ask(&server, &format!("SYSTEM REFRESH VIEW {table}_numbers"));
    let failed = server.query(&format!("SYSTEM WAIT VIEW {table}_numbers"));
    assert!(failed.is_err(), "the refresh did not fail");
    ask(
        &server,
        &format!("ALTER TABLE {table} DROP CONSTRAINT none"),
    );
    // As if it had failed after its first block.
    ask(
        &server,
        &format!(
            "INSERT INTO {table} SELECT * REPLACE (now64(9) AS Run, Points + 10 AS Points) \
             FROM {table} WHERE SeriesId = 3"
        ),
    );
    ask(
        &server,
        &format!("ALTER TABLE {table} DELETE WHERE SeriesId = 3 SETTINGS mutations_sync = 2"),
    );
    assert_exact(&server, &points);
}

/// Scenario: ClickHouse is killed and comes back after points came that no refresh has seen; points come
/// whose mark was dated minutes before it could be seen; and after refreshes have run, points for a
/// bucket of 20 days ago.
/// Guarantees: none is missed. When each view last succeeded is known after the restart, so that not all
/// marks are searched.
#[tokio::test]
async fn marks_are_found_after_a_restart_and_when_they_come_late() {
    let (mut server, _) = migrated().await;
    let start = days_ago(&server, 2);
    let mut points = seconds(1, start, 1..400);
    ask(&server, &insert(&points, ""));
    assert_exact(&server, &points);
    ask(
        &server,
        "SYSTEM REFRESH VIEW spanmill.otel_rollup_runs_refresh",
    );
    ask(
        &server,
        "SYSTEM WAIT VIEW spanmill.otel_rollup_runs_refresh",
    );

    let late = seconds(1, start, 400..800);
    ask(&server, &insert(&late, ""));
    points.extend(late);
    server.kill();
    server.start();
    let since = "SELECT min(Since > now() - 7200) FROM spanmill.otel_rollup_since";
    assert_eq!(ask(&server, since), "1");
    assert_exact(&server, &points);

    // The view that marks is away, so that the mark can be set with an earlier time.
    let view = "spanmill.otel_metrics_dirty_mv";
    ask(&server, &format!("DETACH TABLE {view}"));
    let late = seconds(1, start, 800..801);
    ask(&server, &insert(&late, ""));
    points.extend(late);
    ask(&server, &format!("ATTACH TABLE {view}"));
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_metrics_dirty (Bucket, MetricName, ServiceName, MetricType, \
             Points, Due) SELECT toDateTime({start} + 600), 'm2', 's1', 2, 1, now() - 300"
        ),
    );
    assert_exact(&server, &points);

    let old = seconds(1, start - 18 * 86_400, 1..10);
    ask(&server, &insert(&old, ""));
    points.extend(old);
    assert_exact(&server, &points);
}

/// Scenario: a bucket from before the raw points' retention has its row; a late point comes for it. Then
/// a row made of fewer points is written for a bucket that has one made of more.
/// Guarantees: neither changes what readers see: a part of the truth never takes the place of the whole.
#[tokio::test]
async fn a_row_is_never_replaced_by_one_made_of_fewer_points() {
    let (server, _) = migrated().await;
    let old = days_ago(&server, 32);
    let rows = format!(
        "INSERT INTO spanmill.otel_metrics_5m (MetricName, ServiceName, SeriesId, MetricType, Bucket, \
         Run, Points, Samples, Increase) VALUES \
         ('m2', 's1', 1, 2, {old}, 1, 300, 300, 299), ('m2', 's1', 1, 2, {old}, 2, 200, 200, 199)"
    );
    ask(&server, &rows);
    ask(&server, "SYSTEM STOP MERGES spanmill.otel_metrics");
    ask(&server, &insert(&seconds(1, old, 1..2), ""));
    refresh(&server, "otel_metrics_5m");
    refresh(&server, "otel_metrics_1h");
    for table in ["otel_metrics_5m", "otel_metrics_1h"] {
        let rows = table::read(&server, table);
        let row = rows.values().next().expect("a row");
        assert_eq!(
            (rows.len(), row.points, row.floats[2]),
            (1, 300, 299.0),
            "{table}"
        );
    }
}
