//! What changes when the settings of a ClickHouse that has tables change: promoted attributes come and
//! go, rows are kept for longer or shorter, and what cannot be changed is refused.

mod support;

use spanmill_embedded::testing::TestServer;
use spanmill_schema::{
    Connection, MigrateError, NotReady, Report, Retention, SchemaSettings, TableId, Tables,
    migrate, verify,
};
use std::sync::Arc;
use support::{ask, fresh, migrated};

/// The default settings with these span attributes promoted instead.
fn promoting(keys: &[&str]) -> SchemaSettings {
    let spans = keys.iter().map(|key| key.parse().expect(key)).collect();
    let logs = Tables::default().promoted_logs;
    SchemaSettings {
        tables: Arc::new(Tables::new(spans, logs).expect("columns of their own")),
        ..SchemaSettings::default()
    }
}

async fn run(connection: &Connection, settings: &SchemaSettings) {
    let report = migrate(connection, settings).await.expect("it applies");
    let Report { applied, .. } = report;
    assert!(applied.is_empty(), "{applied:?}");
}

/// The attributes of all spans as the view shows them, in the order of `Duration`.
fn seen(server: &TestServer) -> Vec<String> {
    let select = "SELECT SpanAttributes FROM otel.otel_traces ORDER BY Duration FORMAT TSVRaw";
    ask(server, select).lines().map(str::to_owned).collect()
}

/// Scenario: tables made with the default attributes; a configuration promotes one of every kind;
/// then another promotes none. Spans are stored under each.
/// Guarantees: new columns are added with the types and in the order that a block has, before the
/// next insert needs them; what columns of former configurations hold stays readable under its key;
/// the key is in the column's comment.
#[tokio::test]
async fn promoted_attributes_come_and_go() {
    let (server, connection) = migrated().await;
    let insert = |columns: &str, values: &str| {
        ask(
            &server,
            &format!(
                "INSERT INTO spanmill.otel_traces (Timestamp, {columns}) VALUES (now64(9), {values})"
            ),
        );
    };
    insert(
        "Duration, HttpRoute, SpanAttributes",
        "1, '/a', map('x', 'y')",
    );

    let later = promoting(&[
        "tenant.id=i64",
        "app/page-name=text",
        "http.route",
        "retries=u16",
    ]);
    match verify(&connection, &later.tables).await {
        Err(NotReady::MissingColumns { columns }) => assert_eq!(
            columns,
            [
                "otel_traces.TenantId",
                "otel_traces.AppPageName",
                "otel_traces.Retries"
            ]
        ),
        other => panic!("{other:?}"),
    }
    run(&connection, &later).await;
    verify(&connection, &later.tables)
        .await
        .expect("all columns are there");
    insert(
        "Duration, TenantId, AppPageName, HttpRoute, Retries",
        "2, -7, 'start', '/b', 65535",
    );

    let promoted = ["TenantId", "AppPageName", "HttpRoute", "Retries"];
    let described: Vec<_> = later.tables.table(TableId::Traces).columns.iter().collect();
    for name in promoted {
        let column = described.iter().find(|c| c.name == name).expect(name);
        let kind = ask(
            &server,
            &format!(
                "SELECT type FROM system.columns \
                 WHERE database = 'spanmill' AND table = 'otel_traces' AND name = '{name}'"
            ),
        );
        assert_eq!(kind, column.kind, "{name}");
    }
    assert_eq!(
        ask(
            &server,
            "SELECT comment, compression_codec FROM system.columns \
             WHERE database = 'spanmill' AND table = 'otel_traces' AND name IN ('TenantId', 'AppPageName') \
             ORDER BY name FORMAT TSVRaw"
        ),
        "attribute app/page-name\tCODEC(ZSTD(1))\nattribute tenant.id\tCODEC(T64, ZSTD(1))"
    );

    let none = promoting(&[]);
    run(&connection, &none).await;
    verify(&connection, &none.tables)
        .await
        .expect("nothing is missing");
    insert("Duration, SpanAttributes", "3, map('http.route', '/c')");
    assert_eq!(
        seen(&server),
        [
            "{'x':'y','http.route':'/a'}",
            "{'tenant.id':'-7','app/page-name':'start','http.route':'/b','retries':'65535'}",
            "{'http.route':'/c'}",
        ]
        .map(|span| span.to_owned())
        .to_vec()
    );
}

/// Scenario: an attribute is configured as another kind than its column has; another attribute whose
/// column would have the name of that one; both again after the old column was renamed.
/// Guarantees: the first two are refused with table, column and both types, with nothing changed; the
/// way out that the message names works, and the renamed column stays readable.
#[tokio::test]
async fn a_column_keeps_its_meaning() {
    let (server, connection) = migrated().await;
    ask(
        &server,
        "INSERT INTO spanmill.otel_traces (Timestamp, HttpRoute) VALUES (now64(9), '/a')",
    );
    for (key, kind) in [
        ("http.route=i64", "Int64"),
        ("http_route", "LowCardinality(String)"),
    ] {
        let settings = promoting(&["new.one", key]);
        let refused = migrate(&connection, &settings).await;
        let Err(error @ MigrateError::ColumnTaken { .. }) = refused else {
            panic!("{key}: {refused:?}");
        };
        for text in [
            "otel_traces",
            "HttpRoute",
            kind,
            "holds the attribute http.route",
        ] {
            assert!(
                error.to_string().contains(text),
                "{text} is not in: {error}"
            );
        }
        let columns = "SELECT count() FROM system.columns WHERE name = 'NewOne'";
        assert_eq!(ask(&server, columns), "0");
    }
    ask(
        &server,
        "ALTER TABLE spanmill.otel_traces RENAME COLUMN HttpRoute TO HttpRouteText",
    );
    let settings = promoting(&["new.one", "http.route=i64"]);
    assert!(verify(&connection, &settings.tables).await.is_err());
    run(&connection, &settings).await;
    verify(&connection, &settings.tables).await.expect("ready");
    assert_eq!(seen(&server), ["{'http.route':'/a'}"]);
}

/// What TTLs and mutations there are, and of which age the parts are.
fn kept(server: &TestServer) -> [String; 3] {
    [
        "SELECT name, extract(create_table_query, 'TTL (.*) SETTINGS') FROM system.tables \
         WHERE database = 'spanmill' AND create_table_query LIKE '% TTL %' ORDER BY name FORMAT TSVRaw",
        "SELECT table, command FROM system.mutations WHERE database = 'spanmill' ORDER BY ALL",
        "SELECT table, name FROM system.parts WHERE database = 'spanmill' AND active \
         AND table IN ('otel_traces', 'otel_trace_index', 'otel_span_stats_1h') ORDER BY ALL",
    ]
    .map(|sql| ask(server, sql))
}

/// Scenario: spans of 2 and of 20 days ago are stored; `migrate` runs again unchanged, then with
/// spans kept for 10 days, then with an absurd number.
/// Guarantees: an unchanged retention costs no mutation and touches no part; a changed one reaches
/// every table, and what is stored already; resources outlive the longest of the three; a number
/// that ClickHouse's dates could not hold is refused before anything is changed.
#[tokio::test]
async fn retention_is_changed_by_running_again() {
    let (server, connection) = migrated().await;
    for days in [2, 20] {
        ask(
            &server,
            &format!(
                "INSERT INTO spanmill.otel_traces (Timestamp, Duration) \
                 VALUES (now64(9) - toIntervalDay({days}), {days})"
            ),
        );
    }
    let before = kept(&server);
    assert!(before[0].contains("toIntervalDay(30)"), "{}", before[0]);
    run(&connection, &SchemaSettings::default()).await;
    assert_eq!(kept(&server), before);

    let shorter = SchemaSettings {
        retention: Retention {
            raw_days: 10,
            five_minute_days: 400,
            hour_days: 20,
        },
        ..SchemaSettings::default()
    };
    run(&connection, &shorter).await;
    let [ttls, mutations, _] = kept(&server);
    let of_spans = |list: &str| list.matches("otel_traces\t(MATERIALIZE TTL)").count();
    assert_eq!(
        of_spans(&mutations),
        of_spans(&before[1]) + 1,
        "{mutations}"
    );
    for expected in [
        "otel_traces\ttoDateTime(Timestamp) + toIntervalDay(10)",
        "otel_trace_index\ttoDateTime(Start) + toIntervalDay(10 + 1)",
        "otel_resources\tLastSeen + toIntervalDay(greatest(10, 400, 20) + 10)",
    ] {
        assert!(ttls.contains(expected), "{expected} is not in:\n{ttls}");
    }
    // That mutation runs in the background. One that changes nothing, and waits, comes after it.
    ask(
        &server,
        "ALTER TABLE spanmill.otel_traces DELETE WHERE 0 SETTINGS mutations_sync = 2",
    );
    let stored = "SELECT Duration FROM spanmill.otel_traces";
    assert_eq!(ask(&server, stored), "2");

    for days in [0, Retention::DAYS_MAX + 1] {
        let mut settings = shorter.clone();
        settings.retention.hour_days = days;
        let refused = migrate(&connection, &settings).await;
        let expected =
            matches!(refused, Err(MigrateError::Retention { days: said }) if said == days);
        assert!(expected, "{refused:?}");
    }
    assert_eq!(kept(&server)[0], ttls);
}

/// Scenario: tables of a single server are to become a cluster's; and an empty server that knows no
/// cluster of the configured name is migrated.
/// Guarantees: the first is refused with the cluster's name before anything is changed; the second
/// fails in ClickHouse's own words and leaves no tables behind.
#[tokio::test]
async fn a_single_server_does_not_become_a_cluster() {
    let cluster = SchemaSettings {
        cluster: Some("prod".into()),
        ..SchemaSettings::default()
    };
    let (_server, connection) = migrated().await;
    match migrate(&connection, &cluster).await {
        Err(MigrateError::NoCluster { name }) => assert_eq!(name, "prod"),
        other => panic!("{other:?}"),
    }
    let (server, connection) = fresh();
    let refused = migrate(&connection, &cluster).await;
    assert!(
        matches!(refused, Err(MigrateError::Server(_))),
        "{refused:?}"
    );
    assert_eq!(
        ask(
            &server,
            "SELECT count() FROM system.databases WHERE name = 'spanmill'"
        ),
        "0"
    );
}

/// Scenario: tables that hold an insert are told to remember more inserts, then fewer by a default that nobody asked
/// for, then fewer by somebody's wish; the insert is sent again under its token after each, and after a restart.
/// Guarantees: every table that remembers inserts is told, but never by a default to remember fewer; those that
/// remember none are not; and the retry is dropped each time, in the table and in what its views fill.
#[tokio::test]
async fn the_number_of_remembered_inserts_changes() {
    let (mut server, connection) = migrated().await;
    let windows = |server: &TestServer| {
        ask(
            server,
            "SELECT DISTINCT extract(create_table_query, 'replicated_deduplication_window = (\\\\d+)') AS w \
             FROM system.tables WHERE database = 'spanmill' AND w != '' ORDER BY toUInt64(w)",
        )
    };
    let insert = |server: &TestServer| {
        let insert = "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, Duration) SETTINGS async_insert = 0, \
                      deduplicate_blocks_in_dependent_materialized_views = 1, \
                      insert_deduplication_token = 'once' VALUES ('2026-11-22 12:00:00', unhex('0a'), 1)";
        ask(server, insert);
        let stored = "SELECT (SELECT count() FROM spanmill.otel_traces), \
                      (SELECT sum(Count) FROM spanmill.otel_span_stats_1h)";
        ask(server, stored)
    };
    assert_eq!(windows(&server), "0\n200000");
    assert_eq!(insert(&server), "1\t1");
    for (inserts_remembered, is_given, then) in [
        (300_000, false, 300_000),
        (200_000, false, 300_000),
        (100_000, true, 100_000),
    ] {
        let settings = SchemaSettings {
            inserts_remembered,
            inserts_remembered_is_given: is_given,
            ..SchemaSettings::default()
        };
        run(&connection, &settings).await;
        assert_eq!(windows(&server), format!("0\n{then}"));
        assert_eq!(insert(&server), "1\t1");
        server.restart();
        assert_eq!(insert(&server), "1\t1");
    }
}
