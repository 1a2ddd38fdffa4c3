//! The hourly, daily and weekly statistics of operations against plain queries over the raw spans.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

/// Each table, its column of time, and what that is of a span.
const TABLES: [(&str, &str, &str); 3] = [
    (
        "spanmill.otel_span_stats_1h",
        "Hour",
        "toStartOfHour(toDateTime(Timestamp))",
    ),
    (
        "spanmill.otel_span_stats_1d",
        "Day",
        "toDate(Timestamp, 'UTC')",
    ),
    (
        "spanmill.otel_span_stats_1w",
        "Week",
        "toMonday(Timestamp, 'UTC')",
    ),
];

/// Inserts spans of two services, three names and all kinds around the turn of an hour, under a token.
fn insert(server: &TestServer, from: u32, count: u32, token: &str) {
    ask(
        server,
        &format!(
            "INSERT INTO spanmill.otel_traces (Timestamp, ServiceName, SpanName, SpanKind, Duration, \
             StatusCode) SETTINGS async_insert = 0, insert_deduplicate = 1, \
             deduplicate_blocks_in_dependent_materialized_views = 1, \
             insert_deduplication_token = '{token}' \
             SELECT toDateTime64(toStartOfHour(now()) - 7200, 9) + toIntervalSecond(number % 100 - 50), \
             if(number % 3 = 0, 'cart', 'pay'), concat('op-', toString(intHash32(number) % 3)), \
             number % 6, 1000 + intHash64(number) % 10000000, number % 7 % 3 \
             FROM numbers({from}, {count})"
        ),
    );
}

/// Scenario: spans arrive in several inserts of different sizes, each across the turn of an hour; one
/// is repeated under its token, once with other rows.
/// Guarantees: counts, errors, sums, minima and maxima of each hour, service, name and kind are those
/// of a query over the raw spans, in which the repeated insert is once; those of each day and week as well.
#[tokio::test]
async fn stats_are_those_of_the_spans() {
    let (server, _) = migrated().await;
    insert(&server, 0, 10_000, "a");
    insert(&server, 10_000, 500, "b");
    insert(&server, 10_000, 500, "b");
    insert(&server, 0, 10_000, "a");
    insert(&server, 99_000, 7, "a");
    insert(&server, 20_000, 3_000, "c");

    for (table, column, start) in TABLES {
        let keys = format!("{column}, ServiceName, SpanName, SpanKind");
        let stats = ask(
            &server,
            &format!(
                "SELECT {keys}, sum(Count), sum(ErrorCount), sum(DurationSum), min(DurationMin), \
                 max(DurationMax) FROM {table} GROUP BY {keys} ORDER BY ALL"
            ),
        );
        let spans = ask(
            &server,
            &format!(
                "SELECT {start} AS {column}, ServiceName, SpanName, SpanKind, count(), \
                 countIf(StatusCode = 2), sum(Duration), min(Duration), max(Duration) \
                 FROM spanmill.otel_traces GROUP BY ALL ORDER BY ALL"
            ),
        );
        assert_eq!(stats, spans, "{table}");
        let sum = format!("SELECT sum(Count) FROM {table}");
        assert_eq!(ask(&server, &sum), "13500");
        ask(&server, &format!("OPTIMIZE TABLE {table} FINAL"));
        let merged = ask(&server, &format!("SELECT count() FROM {table}"));
        assert_eq!(merged, stats.lines().count().to_string(), "{table}");
        // 6 kinds, of which services take 2 and 4, * 3 names, each in one or two hours, days or weeks.
        assert!(stats.lines().count() >= 18, "{stats}");
    }
}

/// Scenario: 30,000 spans in three inserts; levels from the median to the 99th percentile are read
/// from the digests, by service.
/// Guarantees: any level can be read, and each is within 2 % of the exact one, merged or not.
#[tokio::test]
async fn quantiles_are_close_to_exact() {
    let (server, _) = migrated().await;
    for (at, token) in ["a", "b", "c"].into_iter().enumerate() {
        insert(&server, at as u32 * 10_000, 10_000, token);
    }
    for level in ["0.5", "0.9", "0.95", "0.99"] {
        for (table, ..) in TABLES {
            let near = format!(
                "SELECT count() FROM (SELECT ServiceName, \
                 quantileTDigestMerge({level})(DurationDigest) AS digest \
                 FROM {table} GROUP BY ServiceName) AS d \
                 FULL JOIN (SELECT ServiceName, quantileExact({level})(Duration) AS exact \
                 FROM spanmill.otel_traces GROUP BY ServiceName) AS e USING ServiceName \
                 WHERE abs(digest / exact - 1) <= 0.02"
            );
            assert_eq!(ask(&server, &near), "2", "level {level} of {table}");
        }
    }
}
