//! Verification by itself, against a real ClickHouse with the real tables, whose rows these tests write and spoil by
//! SQL as no engine would.

use std::time::{SystemTime, UNIX_EPOCH};

use spanmill_certify::{MARK, Options, Sent, Stored, verify};
use spanmill_embedded::testing::{TestServer, start_private};
use spanmill_schema::{Connection, SchemaSettings};

const SPANS: u64 = 10_000;

struct Stage {
    clickhouse: TestServer,
    options: Options,
    /// Nanoseconds since 1970: an hour ago, since retention drops what is much older.
    began: u64,
}

impl Stage {
    /// A server with the tables, and spans of two marks: `run/0` and `run/01`, which begins alike.
    fn new() -> Self {
        let clickhouse = start_private();
        let connection = Connection {
            url: clickhouse.http_url(),
            user: "default".into(),
            password: String::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = SchemaSettings::default();
        runtime
            .block_on(spanmill_schema::migrate(&connection, &settings))
            .unwrap_or_else(|error| panic!("{error}"));
        let options = Options {
            clickhouse: clickhouse.http_url(),
            ..Options::default()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let stage = Stage {
            clickhouse,
            options,
            began: (now.expect("a clock").as_secs() - 3600) * 1_000_000_000,
        };
        for (resource, mark) in [(1, "run/0"), (2, "run/01")] {
            stage.run(&format!(
                "INSERT INTO spanmill.otel_resources (ResourceId, LastSeen, ServiceName, Attributes) \
                 VALUES ({resource}, now(), 'shop', {{'{MARK}': '{mark}'}})"
            ));
            stage.insert(resource, 0);
        }
        stage
    }

    /// Writes spans from that number on; the same number gives the same span.
    fn insert(&self, resource: u64, from: u64) {
        let began = self.began;
        self.run(&format!(
            "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, ResourceId) \
             SELECT fromUnixTimestamp64Nano(toInt64({began} + number * 1000000)), \
                reinterpretAsFixedString(toUInt128(number) + {resource}), reinterpretAsFixedString(number + 1), \
                'shop', 'pay', {resource} \
             FROM numbers({from}, {SPANS}) SETTINGS insert_deduplicate = 0"
        ));
    }

    fn run(&self, sql: &str) {
        self.clickhouse
            .query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn stored(&self, change: impl FnOnce(&mut Sent)) -> Stored {
        let mut sent = Sent {
            mark: "run/0".into(),
            unix_nanos: (self.began, self.began + 10_000_000_000),
            acknowledged: SPANS,
            uncertain: 0,
            has_own_ids: true,
        };
        change(&mut sent);
        verify(&self.options, &sent).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn lost_and_surplus(stored: &Stored) -> (u64, u64) {
    (stored.lost(), stored.surplus())
}

/// Scenario: spans stored once, beside those of another run; then some are deleted. Guarantees: at first nothing is
/// lost or too many and the other run's are not counted; then exactly the deleted ones are lost.
#[test]
fn deleted_rows_are_lost() {
    let stage = Stage::new();
    let stored = stage.stored(|_| {});
    assert_eq!(stored.rows, SPANS);
    assert_eq!(stored.distinct, Some(SPANS));
    assert_eq!(lost_and_surplus(&stored), (0, 0));
    let seventh = stage.began + 7_000_000;
    stage.run(&format!(
        "ALTER TABLE spanmill.otel_traces DELETE \
         WHERE ResourceId = 1 AND Timestamp < fromUnixTimestamp64Nano(toInt64({seventh})) \
         SETTINGS mutations_sync = 2"
    ));
    assert_eq!(lost_and_surplus(&stage.stored(|_| {})), (7, 0));
    // A loss that is made up for in the sum by what was not acknowledged and is stored.
    let unsure = stage.stored(|sent| {
        sent.acknowledged = SPANS - 100;
        sent.uncertain = 100;
    });
    assert_eq!(lost_and_surplus(&unsure), (0, 0));
}

/// Scenario: all spans are inserted a second time; the same where ids repeat by design. Guarantees: each is too
/// many, though none is lost, with ids and by the number alone.
#[test]
fn rows_that_are_stored_twice_are_too_many() {
    let stage = Stage::new();
    stage.insert(1, 0);
    let stored = stage.stored(|_| {});
    assert_eq!((stored.rows, stored.distinct), (2 * SPANS, Some(SPANS)));
    assert_eq!(lost_and_surplus(&stored), (0, SPANS));
    let by_number = stage.stored(|sent| sent.has_own_ids = false);
    assert_eq!(by_number.distinct, None);
    assert_eq!(lost_and_surplus(&by_number), (0, SPANS));
}

/// Scenario: twice as many different spans as were acknowledged, with and without doubt about the others; a loss
/// beside duplicates of as many rows. Guarantees: what nobody sent is too many, what may be stored is not, and
/// duplicates do not hide a loss.
#[test]
fn duplicates_do_not_hide_a_loss() {
    let stage = Stage::new();
    stage.insert(1, SPANS);
    assert_eq!(lost_and_surplus(&stage.stored(|_| {})), (0, SPANS));
    let unsure = stage.stored(|sent| sent.uncertain = SPANS);
    assert_eq!(lost_and_surplus(&unsure), (0, 0));
    stage.insert(1, SPANS);
    let hidden = stage.stored(|sent| sent.acknowledged = 3 * SPANS);
    assert_eq!(hidden.rows, 3 * SPANS);
    assert_eq!(lost_and_surplus(&hidden), (SPANS, SPANS));
}

/// Scenario: a mark that no resource has, and a ClickHouse that has ended. Guarantees: the first is a loss of all,
/// the second an error that names the address and what to do.
#[test]
fn nothing_and_nobody_are_told_apart() {
    let mut stage = Stage::new();
    let stored = stage.stored(|sent| sent.mark = "other/0".into());
    assert_eq!(lost_and_surplus(&stored), (SPANS, 0));
    stage.clickhouse.stop();
    let sent = Sent {
        mark: "run/0".into(),
        unix_nanos: (stage.began, stage.began),
        acknowledged: 1,
        uncertain: 0,
        has_own_ids: true,
    };
    let error = verify(&stage.options, &sent).unwrap_err().to_string();
    assert!(
        error.contains(&stage.clickhouse.http_url()) && error.contains("--clickhouse"),
        "{error}"
    );
}
