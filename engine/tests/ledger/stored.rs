//! What is stored, in base tables and rollups, against the ledger of what was acknowledged.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use spanmill_embedded::testing::TestServer;

use crate::ledger::load::{Client, Ledger, Outcome, TRANSPORTS, Target, runtime};
use crate::ledger::requests::{ROWS, ids, name, payload, signal};
use crate::support::{PATIENCE, Stack, await_true};

/// The table of each signal, and how a row's id is read from it.
const TABLES: [(&str, &str); 3] = [
    ("otel_traces", "reinterpretAsUInt64(reverse(SpanId))"),
    ("otel_logs", "reinterpretAsUInt64(reverse(SpanId))"),
    ("otel_metrics", "toUInt64(toInt128(Value) + IntRemainder)"),
];

/// Rows of each signal by the name of their request, as a rollup counts them.
const ROLLUPS: [(&str, u64); 3] = [
    (
        "SELECT SpanName, sum(Count) FROM spanmill.otel_span_stats_1h GROUP BY SpanName",
        ROWS,
    ),
    (
        "SELECT EventName, sum(Count) FROM spanmill.otel_logs_errors_1h GROUP BY EventName",
        ROWS,
    ),
    // Only the row of yesterday surely lies in a bucket that is closed.
    (
        "SELECT MetricName, sum(Samples) FROM spanmill.otel_metrics_5m FINAL \
         WHERE Bucket < now() - toIntervalHour(12) GROUP BY MetricName",
        1,
    ),
];

/// Sends a request of each transport while none can be taken. `round` gives it ids of its own.
pub(crate) fn assert_told_to_retry(stack: &Stack, round: u64) {
    let runtime = runtime();
    for transport in TRANSPORTS {
        let number = i64::MAX as u64 / ROWS - 1 - 2 * round - transport as u64;
        let mut client = Client::new(transport, Target::of(stack), &runtime);
        let outcome = runtime.block_on(client.export(number));
        assert!(
            matches!(outcome, Outcome::ToldToRetry),
            "{transport:?}: {outcome:?}"
        );
    }
}

/// Shuts the engine down, waits until ClickHouse is quiet, and checks.
pub(crate) fn assert_exactly_once(stack: &mut Stack, ledger: &Ledger, requests: u64) {
    let report = stack.shutdown();
    assert_eq!(report.drained, report.shards, "{report}");
    await_true("ClickHouse has nothing left to insert", || {
        let running = "SELECT count() FROM system.processes WHERE query_kind = 'Insert'";
        stack.query(running) == "0"
    });
    assert_stored(&stack.clickhouse, ledger, requests);
}

/// Checks what is stored of requests 1 to `requests`.
pub(crate) fn assert_stored(clickhouse: &TestServer, ledger: &Ledger, requests: u64) {
    assert!(ledger.failures.is_empty(), "{:?}", ledger.failures);
    assert!(
        ledger.acknowledged_on_both() > 0,
        "nothing was acknowledged"
    );
    let acknowledged: HashSet<u64> = ledger.acknowledged.iter().flatten().copied().collect();
    for (of, (table, id)) in TABLES.into_iter().enumerate() {
        let acknowledged: Vec<_> = acknowledged.iter().filter(|n| signal(**n) == of).collect();
        assert!(!acknowledged.is_empty(), "nothing for {table}");
        let sent = (1..=requests).filter(|number| signal(*number) == of);
        let sent: HashSet<u64> = sent.flat_map(ids).collect();
        let stored = counts(
            clickhouse,
            &format!("SELECT {id} AS id, count() FROM spanmill.{table} GROUP BY id"),
        );
        for (id, count) in &stored {
            assert_eq!(*count, 1, "{table}: row {id} is stored {count} times");
            let id: u64 = id.parse().expect("an id");
            assert!(
                sent.contains(&id),
                "{table}: row {id} was refused or never sent"
            );
        }
        let lost = acknowledged.iter().flat_map(|number| ids(**number));
        let lost: Vec<_> = lost
            .filter(|id| !stored.contains_key(&id.to_string()))
            .collect();
        assert!(
            lost.is_empty(),
            "{table}: acknowledged and not stored: {lost:?}"
        );
    }
    assert_payloads(clickhouse);
    assert_nothing_is_orphaned(clickhouse);
    assert_rolled_up(clickhouse, &acknowledged, requests);
}

fn query(clickhouse: &TestServer, sql: &str) -> String {
    let answer = clickhouse.query(sql);
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    answer.trim_end_matches('\n').to_owned()
}

fn counts(clickhouse: &TestServer, sql: &str) -> HashMap<String, u64> {
    let answer = query(clickhouse, sql);
    let rows = answer.lines().filter_map(|row| row.split_once('\t'));
    rows.map(|(key, count)| (key.to_owned(), count.parse().expect("a count")))
        .collect()
}

/// Every row holds what was sent with its id.
fn assert_payloads(clickhouse: &TestServer) {
    for (table, attributes) in [
        ("otel_traces", "SpanAttributes"),
        ("otel_logs", "LogAttributes"),
    ] {
        let sql = format!(
            "SELECT reinterpretAsUInt64(reverse(SpanId)), {attributes}['payload'] FROM spanmill.{table}"
        );
        for row in query(clickhouse, &sql).lines() {
            let (id, stored) = row.split_once('\t').expect("two columns");
            let id = id.parse().expect("an id");
            assert_eq!(
                stored,
                payload(id),
                "{table}: row {id} has another's payload"
            );
        }
    }
}

/// Rows that refer to others come after those.
fn assert_nothing_is_orphaned(clickhouse: &TestServer) {
    for (table, key, of) in [
        ("otel_traces", "ResourceId", "otel_resources"),
        ("otel_logs", "ResourceId", "otel_resources"),
        ("otel_metric_series", "ResourceId", "otel_resources"),
        ("otel_metrics", "SeriesId", "otel_metric_series"),
    ] {
        let orphans = format!(
            "SELECT count() FROM spanmill.{table} WHERE {key} NOT IN (SELECT {key} FROM spanmill.{of})"
        );
        assert_eq!(
            query(clickhouse, &orphans),
            "0",
            "{table} without its {key}"
        );
    }
}

/// What says why a bucket is not rolled up: the marks and runs of each, and what ClickHouse says of its views.
fn why_pending(clickhouse: &TestServer) -> String {
    let of =
        "(Bucket, MetricName) IN (SELECT Bucket, MetricName FROM spanmill.otel_metrics_5m_pending)";
    let asked = [
        format!("SELECT 'marks', * FROM spanmill.otel_metrics_dirty WHERE {of} LIMIT 50"),
        format!("SELECT 'runs', * FROM spanmill.otel_metrics_done WHERE {of} LIMIT 50"),
        format!(
            "SELECT 'points', toStartOfFiveMinutes(Timestamp) AS Bucket, MetricName, count() \
             FROM spanmill.otel_metrics WHERE {of} GROUP BY Bucket, MetricName LIMIT 50"
        ),
        "SELECT 'now', now64(3), * FROM spanmill.otel_rollup_since".to_owned(),
        "SELECT * FROM system.view_refreshes FORMAT Vertical".to_owned(),
    ];
    asked.map(|sql| query(clickhouse, &sql)).join("\n")
}

/// Every rollup holds each acknowledged row once, and no row twice.
fn assert_rolled_up(clickhouse: &TestServer, acknowledged: &HashSet<u64>, requests: u64) {
    // A server that has just started may still be at a refresh of its own, which another waits for.
    let begun = Instant::now();
    loop {
        for refresh in ["REFRESH", "WAIT"] {
            let view = format!("SYSTEM {refresh} VIEW spanmill.otel_metrics_5m_numbers");
            query(clickhouse, &view);
        }
        let pending =
            "SELECT * FROM spanmill.otel_metrics_5m_pending WHERE MetricType IN (1, 2) LIMIT 10";
        let pending = query(clickhouse, pending);
        if pending.is_empty() {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "closed buckets are not rolled up: {pending}\n{}",
            why_pending(clickhouse)
        );
    }
    for (of, (rollup, rows)) in ROLLUPS.into_iter().enumerate() {
        let counts = counts(clickhouse, rollup);
        for number in (1..=requests).filter(|number| signal(*number) == of) {
            let count = counts.get(&name(number)).copied().unwrap_or(0);
            match acknowledged.contains(&number) {
                true => assert_eq!(count, rows, "request {number}: {rollup}"),
                false => assert!(
                    count <= rows,
                    "request {number}: {count} of {rows}: {rollup}"
                ),
            }
        }
    }
    let unindexed = query(
        clickhouse,
        "SELECT DISTINCT SpanName FROM spanmill.otel_traces \
         WHERE cityHash64(TraceId) NOT IN (SELECT TraceHash FROM spanmill.otel_trace_index)",
    );
    let unindexed: HashSet<&str> = unindexed.lines().collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|number| unindexed.contains(name(**number).as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "acknowledged and not in the trace index: {lost:?}"
    );
}
