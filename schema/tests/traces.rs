//! Rows in the tables of traces: how they show in the index and the view, what filters read, and
//! that a repeated insert is stored once.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

/// A span with something in every kind of column, an hour ago on the second so that it is neither
/// expired nor in the future.
const SPAN: &str = "
    SELECT
        toDateTime64(now() - 3600, 9) + toIntervalNanosecond(123456789) AS Timestamp,
        unhex('000102030405060708090a0b0c0d0e0f') AS TraceId,
        unhex('a0a1a2a3a4a5a6a7') AS SpanId,
        unhex('b0b1b2b3b4b5b6b7') AS ParentSpanId,
        'vendor=1' AS TraceState,
        257 AS Flags,
        'GET /users/{id}' AS SpanName,
        2 AS SpanKind,
        'shop' AS ServiceName,
        42 AS ResourceId,
        'http-server' AS ScopeName,
        '1.2' AS ScopeVersion,
        1500000 AS Duration,
        2 AS StatusCode,
        'boom' AS StatusMessage,
        'GET' AS HttpRequestMethod,
        500 AS HttpResponseStatusCode,
        '/users/{id}' AS HttpRoute,
        map('retries', '3', 'ratio', '0.5') AS SpanAttributes,
        [2, 3] AS SpanAttributeTypes,
        [Timestamp] AS `Events.Timestamp`,
        ['exception'] AS `Events.Name`,
        [map('exception.type', 'E')] AS `Events.Attributes`,
        [[0]] AS `Events.AttributeTypes`,
        [1] AS `Events.DroppedAttributesCount`,
        [unhex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff')] AS `Links.TraceId`,
        [unhex('c0c1c2c3c4c5c6c7')] AS `Links.SpanId`,
        ['l=1'] AS `Links.TraceState`,
        [1] AS `Links.Flags`,
        [map('k', 'v')] AS `Links.Attributes`,
        [[0]] AS `Links.AttributeTypes`,
        [0] AS `Links.DroppedAttributesCount`";

/// Inserts the rows of `select` by name, under a token or none.
fn insert(server: &TestServer, table: &str, select: &str, settings: &str) {
    let columns = ask(server, &format!("DESCRIBE ({select}) FORMAT TSVRaw"));
    let names: Vec<_> = columns
        .lines()
        .map(|line| format!("`{}`", line.split('\t').next().unwrap_or(line)))
        .collect();
    ask(
        server,
        &format!(
            "INSERT INTO {table} ({}) {settings} {select}",
            names.join(", ")
        ),
    );
}

/// Scenario: a resource and, right after it, a span are stored; the view, the index and the
/// exporter's lookup are read at once.
/// Guarantees: every column of the view has the exporter's form and value: hex ids, names of kind
/// and status, the resource's attributes without a wait, promoted attributes back under their keys,
/// events and links; the index and the lookup hold the span's time.
#[tokio::test]
async fn a_stored_span_shows_at_once_as_the_exporter_would_store_it() {
    let (server, _) = migrated().await;
    insert(
        &server,
        "spanmill.otel_resources",
        "SELECT 42 AS ResourceId, now() AS LastSeen, map('service.name', 'shop', 'host.name', 'h') \
         AS Attributes",
        "",
    );
    insert(&server, "spanmill.otel_traces", SPAN, "");
    let seen = ask(
        &server,
        "SELECT * EXCEPT (Timestamp, `Events.Timestamp`) FROM otel.otel_traces FORMAT TSVRaw",
    );
    let expected = [
        "000102030405060708090a0b0c0d0e0f",
        "a0a1a2a3a4a5a6a7",
        "b0b1b2b3b4b5b6b7",
        "vendor=1",
        "GET /users/{id}",
        "Server",
        "shop",
        "{'service.name':'shop','host.name':'h'}",
        "http-server",
        "1.2",
        "{'retries':'3','ratio':'0.5','http.request.method':'GET',\
         'http.response.status_code':'500','http.route':'/users/{id}'}",
        "1500000",
        "Error",
        "boom",
        "['exception']",
        "[{'exception.type':'E'}]",
        "['f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff']",
        "['c0c1c2c3c4c5c6c7']",
        "['l=1']",
        "[{'k':'v'}]",
    ];
    assert_eq!(seen.split('\t').collect::<Vec<_>>(), expected);

    let times = "SELECT t.Timestamp = b.Timestamp AND t.`Events.Timestamp` = [b.Timestamp] \
                 AND i.Start = b.Timestamp AND i.End = b.Timestamp \
                 AND i.TraceHash = cityHash64(b.TraceId) \
                 AND l.Start = toDateTime(b.Timestamp) AND l.End = l.Start \
                 AND l.TraceId = t.TraceId AND toUnixTimestamp64Nano(b.Timestamp) % 1000000000 = 123456789 \
                 FROM otel.otel_traces AS t, spanmill.otel_traces AS b, \
                 spanmill.otel_trace_index AS i, otel.otel_traces_trace_id_ts AS l";
    assert_eq!(ask(&server, times), "1");
}

/// Scenario: spans of every kind and status, a root span, and a span of a resource not stored.
/// Guarantees: names as the Collector writes them, an empty parent for a root, and an empty map
/// rather than an error for the unknown resource.
#[tokio::test]
async fn kinds_statuses_and_roots_have_the_collectors_names() {
    let (server, _) = migrated().await;
    insert(
        &server,
        "spanmill.otel_traces",
        "SELECT now64(9) AS Timestamp, number AS SpanKind, number % 3 AS StatusCode, \
         number AS Duration, 7 AS ResourceId FROM numbers(6)",
        "",
    );
    assert_eq!(
        ask(
            &server,
            "SELECT SpanKind, StatusCode, ParentSpanId, ResourceAttributes \
             FROM otel.otel_traces ORDER BY Duration FORMAT TSVRaw"
        ),
        "Unspecified\tUnset\t\t{}\nInternal\tOk\t\t{}\nServer\tError\t\t{}\n\
         Client\tUnset\t\t{}\nProducer\tOk\t\t{}\nConsumer\tError\t\t{}"
    );
}

/// What `EXPLAIN indexes = 1` says was read: granules kept and granules there, after all indexes.
fn granules(server: &TestServer, select: &str) -> (u32, u32) {
    let number = |text: &str| -> u32 { text.parse().expect("a number of granules") };
    let plan = ask(
        server,
        &format!("EXPLAIN indexes = 1 {select} FORMAT TSVRaw"),
    );
    let counts: Vec<(u32, u32)> = plan
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Granules: "))
        .filter_map(|count| count.split_once('/'))
        .map(|(kept, of)| (number(kept), number(of)))
        .collect();
    let kept = counts
        .last()
        .unwrap_or_else(|| panic!("no granules in {plan}"))
        .0;
    (kept, counts[0].1)
}

/// Scenario: 400,000 spans of 20 services, 10 operations and 40,000 traces over four minutes around the turn of a
/// day; the view is filtered as its readers do.
/// Guarantees: the filters reach the base table's primary key, partitions and bloom filter, so
/// that only a small part of the granules is read: by trace id, by service and operation, by time,
/// and in the exporter's lookup.
#[tokio::test]
async fn filters_on_the_views_prune_the_base_table() {
    let (server, _) = migrated().await;
    let day = today(&server);
    let spans = format!(
        "SELECT toDateTime64({day} - 120, 9) + toIntervalMicrosecond(number * 600) AS Timestamp, \
         CAST(sipHash128(intDiv(number, 10)), 'FixedString(16)') AS TraceId, \
         concat('op-', toString(intHash32(number) % 10)) AS SpanName, \
         concat('svc-', toString(number % 20)) AS ServiceName FROM numbers(400000)"
    );
    insert(&server, "spanmill.otel_traces", &spans, "");
    let id = ask(
        &server,
        "SELECT lower(hex(TraceId)) FROM spanmill.otel_traces LIMIT 1",
    );
    let view = "SELECT * FROM otel.otel_traces WHERE";
    let by_id = format!("{view} TraceId = '{id}'");
    let lookup = format!("SELECT Start FROM otel.otel_traces_trace_id_ts WHERE TraceId = '{id}'");
    let by_name = format!("{view} ServiceName = 'svc-3' AND SpanName = 'op-4'");
    let by_day = format!("{view} Timestamp < {day}");
    let by_minute = format!("{by_name} AND Timestamp < {day} - 60");
    for (select, kept_max) in [
        (&by_id, 14),
        (&lookup, 14),
        (&by_name, 8),
        (&by_day, 26),
        (&by_minute, 4),
    ] {
        let (kept, of) = granules(&server, select);
        assert!(of >= 48, "{of} granules are too few to tell: {select}");
        assert!(
            (1..=kept_max).contains(&kept),
            "{kept} of {of} granules: {select}"
        );
        assert_ne!(
            ask(&server, &format!("SELECT count() FROM ({select})")),
            "0",
            "{select}"
        );
    }
}

/// The start of this day as a literal, asked once so that no test straddles a turn of it.
fn today(server: &TestServer) -> String {
    ask(
        server,
        "SELECT concat('toDateTime(', toString(toUnixTimestamp(toStartOfDay(now(), 'UTC'))), ')')",
    )
}

/// Scenario: one insert is sent twice under its token, once more with other rows of the same day
/// under that token, then its rows again under a new token.
/// Guarantees: the token decides, in the table and in the index that a view fills: the first three
/// are stored once, the fourth is stored.
#[tokio::test]
async fn an_insert_repeated_under_its_token_is_stored_once() {
    let (server, _) = migrated().await;
    let settings = |token: &str| {
        format!(
            "SETTINGS async_insert = 0, insert_deduplicate = 1, \
             deduplicate_blocks_in_dependent_materialized_views = 1, \
             insert_deduplication_token = '{token}'"
        )
    };
    let stored = || {
        ask(
            &server,
            "SELECT (SELECT count() FROM spanmill.otel_traces), \
             (SELECT count() FROM spanmill.otel_trace_index)",
        )
    };
    // Across the turn of a day, so that each insert makes parts in two partitions.
    let day = today(&server);
    let select = format!(
        "SELECT toDateTime64({day} - 10, 9) + toIntervalSecond(number) AS Timestamp, \
         unhex('000102030405060708090a0b0c0d0e0f') AS TraceId FROM numbers(20)"
    );
    let other = format!(
        "SELECT toDateTime64({day} - 1800, 9) AS Timestamp, \
         unhex('ff0102030405060708090a0b0c0d0e0f') AS TraceId"
    );
    // Parts stay apart, so that the index would show a second row for a second insert.
    ask(&server, "SYSTEM STOP MERGES spanmill.otel_trace_index");
    insert(
        &server,
        "spanmill.otel_traces",
        &select,
        &settings("batch-1"),
    );
    let once = stored();
    assert!(once.starts_with("20\t"), "{once}");
    insert(
        &server,
        "spanmill.otel_traces",
        &select,
        &settings("batch-1"),
    );
    assert_eq!(stored(), once);
    insert(
        &server,
        "spanmill.otel_traces",
        &other,
        &settings("batch-1"),
    );
    assert_eq!(stored(), once);
    insert(
        &server,
        "spanmill.otel_traces",
        &select,
        &settings("batch-2"),
    );
    let twice = stored();
    assert!(twice.starts_with("40\t"), "{twice}");
}
