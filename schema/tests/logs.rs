//! Rows in the table of logs: how they show in the exporter's view and the rollup of errors, what
//! filters read, and that a repeated insert is stored once.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

/// How the engine inserts, under a token that it may use again.
fn under_token(token: &str) -> String {
    format!(
        "SETTINGS async_insert = 0, insert_deduplicate = 1, \
         deduplicate_blocks_in_dependent_materialized_views = 1, \
         insert_deduplication_token = '{token}'"
    )
}

/// The start of the hour `hours` ago as a literal, so that no test straddles a turn of it.
fn hour_ago(server: &TestServer, hours: u32) -> String {
    ask(
        server,
        &format!(
            "SELECT concat('toDateTime(', toString(toUnixTimestamp(toStartOfHour(now()) - 3600 * {hours})), ')')"
        ),
    )
}

/// Scenario: a record with something in every column, one with nothing but a time, and records whose
/// body is no string, as the engine writes them.
/// Guarantees: the view shows each as the exporter would have stored it: hex ids or nothing, the low
/// byte of the flags, the resource's attributes and schema without a wait, promoted attributes back
/// under their keys, bodies as text.
#[tokio::test]
async fn a_stored_record_shows_as_the_exporter_would_store_it() {
    let (server, _) = migrated().await;
    ask(
        &server,
        "INSERT INTO spanmill.otel_resources (ResourceId, LastSeen, Attributes, SchemaUrl) \
         VALUES (42, now(), map('service.name', 'shop'), 'https://example.test/1')",
    );
    let hour = hour_ago(&server, 1);
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_logs (Timestamp, TraceId, SpanId, Flags, SeverityNumber, \
             SeverityText, EventName, ServiceName, ResourceId, ScopeName, ScopeVersion, \
             ScopeSchemaUrl, ScopeAttributes, Body, BodyType, ExceptionType, LogAttributes, \
             LogAttributeTypes) SELECT toDateTime64({hour}, 9) + toIntervalNanosecond(1), \
             unhex('000102030405060708090a0b0c0d0e0f'), unhex('a0a1a2a3a4a5a6a7'), 257, 17, 'ERROR', \
             'device.crash', 'shop', 42, 'logger', '1.2', 'https://example.test/s', map('s', '1'), \
             'it broke', 0, 'E', map('n', '3'), [2]"
        ),
    );
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_logs (Timestamp, Body, BodyType) VALUES \
             (toDateTime64({hour}, 9) + 1, '', 7), (toDateTime64({hour}, 9) + 2, '[1,\"a\"]', 5), \
             (toDateTime64({hour}, 9) + 3, 'true', 1)"
        ),
    );
    let seen = ask(
        &server,
        &format!(
            "SELECT * EXCEPT (Timestamp, TimestampTime), \
             Timestamp = toDateTime64({hour}, 9) + toIntervalNanosecond(1), TimestampTime = {hour} \
             FROM otel.otel_logs ORDER BY Timestamp LIMIT 1 FORMAT TSVRaw"
        ),
    );
    let expected = [
        "000102030405060708090a0b0c0d0e0f",
        "a0a1a2a3a4a5a6a7",
        "1",
        "ERROR",
        "17",
        "shop",
        "it broke",
        "https://example.test/1",
        "{'service.name':'shop'}",
        "https://example.test/s",
        "logger",
        "1.2",
        "{'s':'1'}",
        "{'n':'3','exception.type':'E'}",
        "device.crash",
        "1",
        "1",
    ];
    assert_eq!(seen.split('\t').collect::<Vec<_>>(), expected);
    assert_eq!(
        ask(
            &server,
            "SELECT TraceId, SpanId, TraceFlags, Body, ResourceAttributes, LogAttributes \
             FROM otel.otel_logs ORDER BY Timestamp LIMIT 3 OFFSET 1 FORMAT TSVRaw"
        ),
        "\t\t0\t\t{}\t{}\n\t\t0\t[1,\"a\"]\t{}\t{}\n\t\t0\ttrue\t{}\t{}"
    );
}

/// Records over two hours of 20 services, every 40th an error with one of two exceptions, half of
/// these told by an attribute that stayed in the map.
fn records(hour: &str, rows: u32) -> String {
    format!(
        "INSERT INTO spanmill.otel_logs (Timestamp, TraceId, SeverityNumber, SeverityText, \
         ServiceName, Body, ExceptionType, LogAttributes) {{settings}} \
         SELECT toDateTime64({hour} - 3600, 9) \
             + toIntervalNanosecond(intDiv(number * 7200000000000, {rows})), \
         if(number % 3 = 0, toFixedString('', 16), \
            CAST(sipHash128(intDiv(number, 10)), 'FixedString(16)')), \
         if(number % 40 = 0, 17 + 4 * (number % 80 = 0), 9), \
         if(number % 40 = 0, 'ERROR', 'INFO'), \
         concat('svc-', toString(intHash32(number) % 20)), \
         concat('request ', toString(number), ' took ', toString(number % 100), ' ms'), \
         if(number % 40 = 0 AND number % 3 = 0, 'Timeout', ''), \
         if(number % 40 = 0 AND number % 3 = 1, map('exception.type', 'Refused'), map()) \
         FROM numbers({rows})"
    )
}

/// Scenario: records arrive in three inserts, one of them three times under its token; one token is
/// used again with other rows.
/// Guarantees: the table holds each insert once, and the rollup of errors is what a query over the raw
/// records gives, group by group, wherever the exception's type stood.
#[tokio::test]
async fn errors_are_counted_once() {
    let (server, _) = migrated().await;
    let hour = hour_ago(&server, 2);
    ask(&server, "SYSTEM STOP MERGES spanmill.otel_logs_errors_1h");
    let stored = || {
        ask(
            &server,
            "SELECT (SELECT count() FROM spanmill.otel_logs), \
             (SELECT sum(Count) FROM spanmill.otel_logs_errors_1h), \
             (SELECT count() FROM spanmill.otel_logs_errors_1h)",
        )
    };
    let insert = |rows: u32, token: &str| {
        ask(
            &server,
            &records(&hour, rows).replace("{settings}", &under_token(token)),
        );
        stored()
    };
    let once = insert(1000, "a");
    assert!(once.starts_with("1000\t25\t"), "{once}");
    assert_eq!(insert(1000, "a"), once);
    assert_eq!(insert(500, "a"), once, "the token decides, not the rows");
    insert(1000, "b");
    let all = insert(4000, "c");
    assert!(all.starts_with("6000\t150\t"), "{all}");
    assert_eq!(insert(4000, "c"), all);

    let groups = "Hour, ServiceName, SeverityNumber, SeverityText, EventName, ExceptionType";
    let rollup = ask(
        &server,
        &format!(
            "SELECT {groups}, sum(Count), min(FirstSeen), max(LastSeen) \
             FROM spanmill.otel_logs_errors_1h GROUP BY {groups} ORDER BY ALL"
        ),
    );
    let raw = ask(
        &server,
        "SELECT toStartOfHour(toDateTime(Timestamp)), ServiceName, SeverityNumber, SeverityText, \
         EventName, if(ExceptionType = '', LogAttributes['exception.type'], ExceptionType), count(), \
         min(Timestamp), max(Timestamp) FROM spanmill.otel_logs WHERE SeverityNumber >= 17 \
         GROUP BY ALL ORDER BY ALL",
    );
    assert_eq!(rollup, raw);
    for exception in ["Timeout", "Refused"] {
        assert!(raw.contains(exception), "{raw}");
    }
    assert_eq!(
        ask(
            &server,
            "SELECT count() FROM (SELECT groupUniqArrayArray(5)(Samples) AS bodies \
             FROM spanmill.otel_logs_errors_1h GROUP BY ServiceName) \
             WHERE length(bodies) NOT BETWEEN 1 AND 5 \
             OR NOT arrayAll(body -> body LIKE 'request % took % ms', bodies)"
        ),
        "0"
    );
}

/// Granules kept after all indexes, and granules of the table.
fn granules(server: &TestServer, select: &str) -> (u32, u32) {
    let plan = ask(
        server,
        &format!("EXPLAIN indexes = 1 {select} FORMAT TSVRaw"),
    );
    let number = |text: &str| -> u32 { text.parse().expect("a number of granules") };
    let counts: Vec<(u32, u32)> = plan
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Granules: ")?.split_once('/'))
        .map(|(kept, of)| (number(kept), number(of)))
        .collect();
    let kept = counts.last().unwrap_or_else(|| panic!("{plan}")).0;
    (kept, counts[0].1)
}

/// Scenario: 400,000 records of 20 services over two hours; the view is filtered as its readers do.
/// Guarantees: each filter reaches the base table's key or an index, so that few granules are read: by
/// trace id, by time under both names, by service and time, by words and parts of words in the body.
#[tokio::test]
async fn filters_on_the_view_prune_the_base_table() {
    let (server, _) = migrated().await;
    let hour = hour_ago(&server, 2);
    ask(&server, &records(&hour, 400_000).replace("{settings}", ""));
    ask(&server, "OPTIMIZE TABLE spanmill.otel_logs FINAL");
    let id = ask(
        &server,
        "SELECT TraceId FROM otel.otel_logs WHERE TraceId != '' ORDER BY Timestamp LIMIT 1",
    );
    let minutes =
        |column: &str| format!("{column} >= {hour} - 3600 AND {column} < {hour} - 3600 + 300");
    for (filter, kept_max) in [
        (format!("TraceId = '{id}'"), 10),
        (format!("TraceId IN ('{id}', 'none')"), 12),
        (format!("Timestamp < {hour}"), 27),
        (format!("TimestampTime < {hour}"), 27),
        (
            format!("{} AND ServiceName = 'svc-3'", minutes("Timestamp")),
            2,
        ),
        (
            format!("{} AND ServiceName = 'svc-3'", minutes("TimestampTime")),
            2,
        ),
        ("ServiceName = 'svc-3'".into(), 8),
        ("hasToken(Body, '123457')".into(), 1),
        ("hasAllTokens(Body, ['request', '123457'])".into(), 1),
        ("Body LIKE '%123457%'".into(), 1),
        ("Body ILIKE '%123457%'".into(), 1),
        ("Body LIKE '%request 123457 took%'".into(), 1),
    ] {
        let select = format!("SELECT * FROM otel.otel_logs WHERE {filter}");
        let (kept, of) = granules(&server, &select);
        assert!(of >= 48, "{of} granules are too few to tell: {filter}");
        assert!(
            (1..=kept_max).contains(&kept),
            "{kept} of {of} granules: {filter}"
        );
        assert_ne!(
            ask(&server, &format!("SELECT count() FROM ({select})")),
            "0",
            "{filter}"
        );
    }
}
