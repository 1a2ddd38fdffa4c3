//! Which service calls which, against a plain join over the raw spans: however spans arrive, however
//! late, through failed refreshes and restarts.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

/// What one span is: the second within the test's hour 0 (negative: before it), its trace and id, its
/// parent (0: none), its service, and whether it failed.
type Span = (i32, u8, u8, u8, &'static str, bool);

/// Hour 0: the start of the hour five hours ago, as a literal.
fn hour_zero(server: &TestServer) -> String {
    ask(
        server,
        "SELECT concat('toDateTime(', toString(toUnixTimestamp(toStartOfHour(now()) - 18000)), ')')",
    )
}

/// One insert of `spans` under `token`.
fn insert(server: &TestServer, hour: &str, token: &str, spans: &[Span]) {
    let rows: Vec<String> = spans
        .iter()
        .map(|(second, trace, id, parent, service, failed)| {
            format!(
                "(toDateTime64({hour}, 9) + ({second}), char({trace}, 1), char({id}), \
                 if({parent} = 0, '', char({parent})), '{service}', {})",
                if *failed { 2 } else { 0 }
            )
        })
        .collect();
    ask(
        server,
        &format!(
            "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, \
             ServiceName, StatusCode) SETTINGS async_insert = 0, insert_deduplicate = 1, \
             deduplicate_blocks_in_dependent_materialized_views = 1, \
             insert_deduplication_token = '{token}' VALUES {}",
            rows.join(", ")
        ),
    );
}

/// Runs the refreshable view to its end.
fn refresh(server: &TestServer) {
    let view = "spanmill.otel_service_dependencies_1h_mv";
    ask(server, &format!("SYSTEM REFRESH VIEW {view}"));
    ask(server, &format!("SYSTEM WAIT VIEW {view}"));
}

/// As if so many minutes went by since all that was marked and computed.
fn let_pass(server: &TestServer, minutes: u32) {
    for (table, time) in [
        ("otel_service_dependencies_touched", "Marked"),
        ("otel_service_dependencies_hours", "Computed"),
    ] {
        ask(
            server,
            &format!(
                "CREATE TABLE spanmill.copy ENGINE = Memory AS SELECT * FROM spanmill.{table}"
            ),
        );
        ask(server, &format!("TRUNCATE TABLE spanmill.{table}"));
        ask(
            server,
            &format!(
                "INSERT INTO spanmill.{table} SELECT * REPLACE ({time} - 60 * {minutes} AS {time}) \
                 FROM spanmill.copy"
            ),
        );
        ask(server, "DROP TABLE spanmill.copy SYNC");
    }
}

const EDGES: &str = "SELECT Hour, Caller, Callee, Count, ErrorCount \
                     FROM spanmill.otel_service_dependencies_1h ORDER BY ALL";

/// The definition, word for word.
const RAW: &str = "
    SELECT toStartOfHour(toDateTime(c.Timestamp)) AS Hour, p.ServiceName AS Caller,
        c.ServiceName AS Callee, count(), countIf(c.StatusCode = 2)
    FROM spanmill.otel_traces AS c
    INNER JOIN spanmill.otel_traces AS p
        ON p.TraceId = c.TraceId AND p.SpanId = c.ParentSpanId
    WHERE notEmpty(c.ParentSpanId) AND p.ServiceName != c.ServiceName
        AND toDateTime(p.Timestamp) >= Hour - 3600 AND toDateTime(p.Timestamp) < Hour + 3900
    GROUP BY ALL ORDER BY ALL";

/// Edges over all hours as "caller>callee count errors".
fn edges(server: &TestServer) -> Vec<String> {
    ask(
        server,
        "SELECT concat(Caller, '>', Callee, ' ', toString(sum(Count)), ' ', toString(sum(ErrorCount))) \
         FROM spanmill.otel_service_dependencies_1h GROUP BY Caller, Callee ORDER BY Caller, Callee",
    )
    .lines()
    .map(String::from)
    .collect()
}

/// Scenario: parents and children in one insert, in two inserts either way round, in two hours, at the
/// very bounds of the look-back, in other traces under the same span id, of the same service, without
/// a parent anywhere.
/// Guarantees: after a refresh the edges are those of a plain join over the spans, and each is there
/// once.
#[tokio::test]
async fn edges_are_those_of_the_spans() {
    let (server, _) = migrated().await;
    let hour = hour_zero(&server);
    let first: &[Span] = &[
        (10, 1, 1, 0, "front", false),
        (11, 1, 2, 1, "front", false),
        (12, 1, 3, 2, "cart", false),
        (13, 1, 4, 2, "cart", true),
        (20, 2, 9, 1, "pay", false),
        (-1, 3, 1, 0, "front", false),
        (-3600, 4, 1, 0, "front", false),
        (-3601, 5, 1, 0, "front", false),
        (30, 6, 2, 1, "db", true),
        (3899, 7, 1, 0, "skewed", false),
        (3900, 8, 1, 0, "skewed", false),
    ];
    let second: &[Span] = &[
        (14, 1, 5, 3, "db", false),
        (0, 3, 2, 1, "cart", false),
        (0, 4, 2, 1, "cart", false),
        (0, 5, 2, 1, "cart", false),
        (29, 6, 1, 0, "pay", false),
        (3599, 7, 2, 1, "db", false),
        (3599, 8, 2, 1, "db", false),
        (3600, 1, 6, 5, "log", false),
    ];
    insert(&server, &hour, "a", first);
    insert(&server, &hour, "b", second);
    refresh(&server);
    assert_eq!(
        edges(&server),
        [
            "cart>db 1 0",
            "db>log 1 0",
            "front>cart 4 1",
            "pay>db 1 1",
            "skewed>db 1 0"
        ]
    );
    assert_eq!(ask(&server, EDGES), ask(&server, RAW));
    ask(
        &server,
        "OPTIMIZE TABLE spanmill.otel_service_dependencies_hours FINAL",
    );
    assert_eq!(ask(&server, EDGES), ask(&server, RAW));
}

/// Scenario: an hour is computed; then come a late parent of the hour before, a late child, and a late
/// span of another hour; once they are quiet the view is refreshed again, and once more with nothing
/// new.
/// Guarantees: before the second refresh nothing changed, after it all hours are those of the spans
/// again; then no hour is due, so that nothing is computed without need.
#[tokio::test]
async fn late_spans_are_counted() {
    let (server, _) = migrated().await;
    let hour = hour_zero(&server);
    insert(
        &server,
        &hour,
        "a",
        &[
            (5, 1, 1, 0, "front", false),
            (6, 1, 2, 1, "cart", false),
            (7, 2, 2, 1, "pay", false),
        ],
    );
    refresh(&server);
    assert_eq!(edges(&server), ["front>cart 1 0"]);
    let before = ask(&server, EDGES);
    insert(
        &server,
        &hour,
        "late parent",
        &[(-100, 2, 1, 0, "front", false)],
    );
    insert(&server, &hour, "late child", &[(3599, 1, 3, 2, "db", true)]);
    assert_eq!(ask(&server, EDGES), before);
    insert(
        &server,
        &hour,
        "other hour",
        &[(7200, 3, 1, 0, "x", false), (7201, 3, 2, 1, "y", false)],
    );
    let_pass(&server, 11);
    refresh(&server);
    assert_eq!(
        edges(&server),
        ["cart>db 1 1", "front>cart 1 0", "front>pay 1 0", "x>y 1 0"]
    );
    assert_eq!(ask(&server, EDGES), ask(&server, RAW));
    // Hours are computed a few at a time.
    refresh(&server);
    let due = "SELECT count() FROM spanmill.otel_service_dependencies_due";
    assert_eq!(ask(&server, due), "0");
}

/// Scenario: an hour that was computed has an edge which its spans no longer show.
/// Guarantees: the next computation of the hour removes it.
#[tokio::test]
async fn an_edge_that_is_gone_does_not_linger() {
    let (server, _) = migrated().await;
    let hour = hour_zero(&server);
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_service_dependencies_hours VALUES \
             ({hour}, now() - 7200, ['gone', 'front'], ['db', 'cart'], [7, 5], [0, 0])"
        ),
    );
    assert_eq!(edges(&server), ["front>cart 5 0", "gone>db 7 0"]);
    insert(
        &server,
        &hour,
        "a",
        &[(1, 1, 1, 0, "front", false), (2, 1, 2, 1, "cart", false)],
    );
    refresh(&server);
    assert_eq!(edges(&server), ["front>cart 1 0"]);
}

/// Scenario: an insert marks its hour, and the hour is computed while the insert's spans are not yet
/// stored; minutes later they are. Then the insert is sent once more under its token.
/// Guarantees: the hour stays due until a computation began ten minutes after the mark, so the spans are
/// found; the retry stores no span twice but marks the hour again.
#[tokio::test]
async fn a_mark_before_its_spans_is_not_lost() {
    let (server, _) = migrated().await;
    let hour = hour_zero(&server);
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_service_dependencies_touched VALUES ({hour}, now() - 30)"
        ),
    );
    refresh(&server);
    let computed = "SELECT count() FROM spanmill.otel_service_dependencies_hours";
    assert_eq!(ask(&server, computed), "1");
    let spans: &[Span] = &[(1, 1, 1, 0, "front", false), (2, 1, 2, 1, "cart", false)];
    ask(
        &server,
        "DETACH TABLE spanmill.otel_service_dependencies_touched_mv",
    );
    insert(&server, &hour, "a", spans);
    ask(
        &server,
        "ATTACH TABLE spanmill.otel_service_dependencies_touched_mv",
    );
    let_pass(&server, 10);
    refresh(&server);
    assert_eq!(edges(&server), ["front>cart 1 0"]);

    let due = "SELECT count() FROM spanmill.otel_service_dependencies_due";
    assert_eq!(ask(&server, due), "0");
    insert(&server, &hour, "a", spans);
    let_pass(&server, 10);
    assert_ne!(ask(&server, due), "0");
    refresh(&server);
    assert_eq!(edges(&server), ["front>cart 1 0"]);
    assert_eq!(
        ask(&server, "SELECT count() FROM spanmill.otel_traces"),
        "2"
    );
}

/// Scenario: spans are stored, a refresh fails because the table of spans is away, the server is
/// restarted, the table comes back.
/// Guarantees: the failure is reported and loses nothing: the hour is due until a refresh succeeds,
/// also one after the restart.
#[tokio::test]
async fn failures_and_restarts_lose_no_hour() {
    let (mut server, _) = migrated().await;
    let hour = hour_zero(&server);
    insert(
        &server,
        &hour,
        "a",
        &[(1, 1, 1, 0, "front", false), (2, 1, 2, 1, "cart", false)],
    );
    ask(
        &server,
        "RENAME TABLE spanmill.otel_traces TO spanmill.away",
    );
    let view = "spanmill.otel_service_dependencies_1h_mv";
    ask(&server, &format!("SYSTEM REFRESH VIEW {view}"));
    let failed = server.query(&format!("SYSTEM WAIT VIEW {view}"));
    assert!(failed.is_err(), "{failed:?}");
    ask(
        &server,
        "RENAME TABLE spanmill.away TO spanmill.otel_traces",
    );
    server.restart();
    refresh(&server);
    assert_eq!(edges(&server), ["front>cart 1 0"]);
}

/// Scenario: an hour (so many hours before this one) was marked and computed so many minutes ago, or
/// never.
/// Guarantees: it is due once it is over and quiet for ten minutes, or an hour after it could last have
/// been computed; not if a computation began ten minutes after the mark, nor when its spans are gone.
#[tokio::test]
async fn hours_are_due_when_over_quiet_and_changed() {
    let (server, _) = migrated().await;
    ask(
        &server,
        "SYSTEM STOP VIEW spanmill.otel_service_dependencies_1h_mv",
    );
    for (hours, marked, computed, is_due) in [
        (0, Some(30), None, false),
        (1, Some(11), None, true),
        (1, Some(5), None, false),
        (5, Some(5), None, true),
        (5, Some(5), Some(30), false),
        (5, Some(5), Some(61), true),
        (5, Some(15), Some(6), true),
        (5, Some(20), Some(9), false),
        (5, None, Some(300), false),
        (31 * 24, Some(20), None, false),
    ] {
        let hour = format!("toStartOfHour(now()) - 3600 * {hours}");
        for table in ["touched", "hours"] {
            ask(
                &server,
                &format!("TRUNCATE TABLE spanmill.otel_service_dependencies_{table}"),
            );
        }
        if let Some(minutes) = marked {
            ask(
                &server,
                &format!(
                    "INSERT INTO spanmill.otel_service_dependencies_touched \
                     SELECT {hour}, now() - 60 * {minutes}"
                ),
            );
        }
        if let Some(minutes) = computed {
            ask(
                &server,
                &format!(
                    "INSERT INTO spanmill.otel_service_dependencies_hours (Hour, Computed) \
                     SELECT {hour}, now() - 60 * {minutes}"
                ),
            );
        }
        let due = ask(
            &server,
            "SELECT count() FROM spanmill.otel_service_dependencies_due",
        );
        assert_eq!(due == "1", is_due, "{hours} {marked:?} {computed:?}");
    }
}

/// Scenario: spans of nine hours are stored and one of them is due.
/// Guarantees: computing it reads the part of that hour for children, and those of the hours beside it
/// for parents, not the table; with no hour due nothing is read.
#[tokio::test]
async fn a_computation_reads_only_the_hours_it_needs() {
    let (server, _) = migrated().await;
    let hour = hour_zero(&server);
    ask(&server, "SYSTEM STOP MERGES spanmill.otel_traces");
    for at in -4..=4 {
        let spans = [(at * 3600, 1, 1, 0, "front", false)];
        insert(&server, &hour, &at.to_string(), &spans);
    }
    let plan = || {
        ask(
            &server,
            "EXPLAIN indexes = 1 SELECT * FROM spanmill.otel_service_dependencies_computed \
             FORMAT TSVRaw",
        )
    };
    // No refresh by itself meanwhile.
    ask(
        &server,
        "SYSTEM STOP VIEW spanmill.otel_service_dependencies_1h_mv",
    );
    for table in ["touched", "hours"] {
        ask(
            &server,
            &format!("TRUNCATE TABLE spanmill.otel_service_dependencies_{table}"),
        );
    }
    let idle = plan();
    assert!(!idle.contains("Parts: 9"), "{idle}");
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_service_dependencies_touched VALUES ({hour}, now() - 3600)"
        ),
    );
    let busy = plan();
    assert!(busy.contains("Parts: 1/9"), "{busy}");
    assert!(busy.contains("Parts: 3/9"), "{busy}");
    assert!(!busy.contains("Parts: 9/9"), "{busy}");
}
