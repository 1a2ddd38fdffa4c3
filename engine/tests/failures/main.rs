//! ClickHouse does not take inserts, for one reason after the other, while clients send without pause: each
//! time the kind shows in `/metrics` and `/readyz` with what to do about it, clients are told to retry and
//! nothing worse, the engine recovers by itself when the cause is gone, and what was acknowledged is stored
//! exactly once. And of several endpoints one that is dead or hangs does not keep inserts from the others.

mod gate;
#[path = "../ledger/mod.rs"]
mod ledger;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gate::{Gate, Mode, UNKNOWN};
use ledger::load::{Client, Ledger, Load, Outcome, TRANSPORTS, Target, runtime};
use ledger::stored::{assert_exactly_once, assert_told_to_retry};
use spanmill_engine::{Config, ReactorChoice};
use support::{Stack, admin_get, await_true, closed_port, metric, metrics};

/// Long enough for an insert on a busy machine, short enough to outlast in a test.
const SHORT: Duration = Duration::from_secs(2);

on_each_reactor! {
    /// Scenario: the table of spans is made read-only.
    /// Guarantees: as the module says.
    a_table_is_read_only

    /// Scenario: the table of log records has more parts than it may, and merges are stopped.
    /// Guarantees: as the module says, and the endpoint's breaker stays closed: it is well.
    there_are_too_many_parts

    /// Scenario: a view on spans needs more memory than the server may take. The insert into the table
    /// itself has been made when the view fails.
    /// Guarantees: as the module says, so the rows of that insert are there once although it failed often.
    memory_runs_out_in_a_view

    /// Scenario: the disk has less free space than the table of spans asks for.
    /// Guarantees: as the module says.
    the_disk_is_full

    /// Scenario: the engine's user is unknown, on new connections.
    /// Guarantees: as the module says.
    the_account_is_refused

    /// Scenario: the table of points is away (it gets another name).
    /// Guarantees: as the module says.
    a_table_is_missing

    /// Scenario: a column of log records is away (it gets another name).
    /// Guarantees: as the module says.
    a_column_is_missing

    /// Scenario: ClickHouse accepts connections and never answers, then goes on with what it was sent.
    /// Guarantees: as the module says.
    clickhouse_never_answers

    /// Scenario: the first of two endpoints has never been there.
    /// Guarantees: requests are stored through the second; nobody is told to retry; `/readyz` is 200 and
    /// names the one that is missing.
    one_of_two_is_dead_from_the_start

    /// Scenario: the first of two endpoints hangs under load, then goes on; it refuses connections, then
    /// takes them again.
    /// Guarantees: each time inserts go through the second without a request being refused, and return to
    /// the first when it is back.
    one_of_two_fails_and_comes_back

    /// Scenario: a connection that was idle for a while has been closed meanwhile.
    /// Guarantees: the next request is stored without a failed insert.
    an_idle_connection_is_cut
}

/// How a failure must show.
struct Shows {
    kind: &'static str,
    state: &'static str,
    advice: &'static str,
    /// The endpoint's breaker while it lasts; `None` if it may be either.
    breaker: Option<f64>,
}

fn a_table_is_read_only(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "read_only",
        state: "is read-only",
        advice: "a table with the setting table_readonly",
        breaker: None,
    };
    fails_by_sql(
        reactor,
        &shows,
        &["ALTER TABLE spanmill.otel_traces MODIFY SETTING table_readonly = 1"],
        &["ALTER TABLE spanmill.otel_traces RESET SETTING table_readonly"],
    );
}

fn there_are_too_many_parts(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "too_many_parts",
        state: "has too many parts",
        advice: "merges lag behind inserts",
        breaker: Some(0.0),
    };
    fails_by_sql(
        reactor,
        &shows,
        &[
            "SYSTEM STOP MERGES spanmill.otel_logs",
            "ALTER TABLE spanmill.otel_logs MODIFY SETTING parts_to_throw_insert = 1",
        ],
        &[
            "ALTER TABLE spanmill.otel_logs RESET SETTING parts_to_throw_insert",
            "SYSTEM START MERGES spanmill.otel_logs",
        ],
    );
}

fn memory_runs_out_in_a_view(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "memory_limit",
        state: "is out of memory",
        advice: "raise the limit that the message names",
        breaker: None,
    };
    // Terabytes, whatever the machine has.
    let view = "CREATE MATERIALIZED VIEW spanmill.too_large ENGINE = Null AS \
                SELECT length(arrayMap(x -> repeat(SpanName, 1000000), \
                range(1000000 + length(SpanName)))) AS c FROM spanmill.otel_traces";
    fails_by_sql(
        reactor,
        &shows,
        &[view],
        &["DROP VIEW spanmill.too_large SYNC"],
    );
}

fn the_disk_is_full(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "disk",
        state: "cannot write to its disk",
        advice: "free or add space",
        breaker: None,
    };
    let setting = "min_free_disk_bytes_to_perform_insert";
    let exabyte = 1u64 << 60;
    fails_by_sql(
        reactor,
        &shows,
        &[&format!(
            "ALTER TABLE spanmill.otel_traces MODIFY SETTING {setting} = {exabyte}"
        )],
        &[&format!(
            "ALTER TABLE spanmill.otel_traces RESET SETTING {setting}"
        )],
    );
}

fn a_table_is_missing(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "schema",
        state: "lacks a table or column, or has it with another type",
        advice: "run `spanmill migrate`",
        breaker: None,
    };
    fails_by_sql(
        reactor,
        &shows,
        &["RENAME TABLE spanmill.otel_metrics TO spanmill.aside"],
        &["RENAME TABLE spanmill.aside TO spanmill.otel_metrics"],
    );
}

fn a_column_is_missing(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "schema",
        state: "lacks a table or column, or has it with another type",
        advice: "run `spanmill migrate`",
        breaker: None,
    };
    fails_by_sql(
        reactor,
        &shows,
        &["ALTER TABLE spanmill.otel_logs RENAME COLUMN Flags TO Aside"],
        &["ALTER TABLE spanmill.otel_logs RENAME COLUMN Aside TO Flags"],
    );
}

fn fails_by_sql(reactor: ReactorChoice, shows: &Shows, cause: &[&str], cure: &[&str]) {
    let run = |stack: &Stack, all: &[&str]| {
        for sql in all {
            stack.query(sql);
        }
    };
    let mut stack = Stack::start(reactor);
    let address = stack.clickhouse.native_addr().to_string();
    let (cause, cure) = (|s: &Stack| run(s, cause), |s: &Stack| run(s, cure));
    fails_and_recovers(&mut stack, &address, shows, cause, cure);
}

fn the_account_is_refused(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "access",
        state: "refuses the account",
        advice: "check clickhouse_user and clickhouse_password",
        breaker: None,
    };
    let (mut stack, [gate]) = stack_with_gates(reactor, |config| {
        config.clickhouse.user = UNKNOWN.into();
    });
    let address = gate.address().to_string();
    fails_and_recovers(
        &mut stack,
        &address,
        &shows,
        |_| gate.set(Mode::Strange),
        |_| gate.set(Mode::Open),
    );
}

fn clickhouse_never_answers(reactor: ReactorChoice) {
    let shows = Shows {
        kind: "timeout",
        state: "does not answer in time",
        advice: "look at its load",
        breaker: Some(2.0),
    };
    let (mut stack, [gate]) = stack_with_gates(reactor, |config| {
        config.insert_timeout = SHORT;
    });
    let address = gate.address().to_string();
    fails_and_recovers(
        &mut stack,
        &address,
        &shows,
        |_| gate.set(Mode::Hanging),
        |_| gate.set(Mode::Open),
    );
}

/// The way that all of them go.
fn fails_and_recovers(
    stack: &mut Stack,
    address: &str,
    shows: &Shows,
    cause: impl Fn(&Stack),
    cure: impl Fn(&Stack),
) {
    let load = Load::start(Target::of(stack));
    load.wait_for_more_acks();
    assert_eq!(
        admin_get(stack.admin_addr(), "/readyz"),
        (200, "ready\n".into())
    );
    cause(stack);
    // The second time it is not only the loss of a connection that was there before.
    let failures = format!(
        "spanmill_insert_failures_total{{shard=\"0\",kind=\"{}\"}}",
        shows.kind
    );
    await_true("it is counted by kind", || {
        metric(&metrics(stack.admin_addr()), &failures) >= Some(2.0)
    });
    let said = format!("shard 0: ClickHouse at {address} {} since ", shows.state);
    let mut answer = (0, String::new());
    await_true("/readyz says what is wrong", || {
        answer = admin_get(stack.admin_addr(), "/readyz");
        answer.0 == 503 && answer.1.starts_with("not ready: ") && answer.1.contains(&said)
    });
    assert!(answer.1.contains(shows.advice), "{}", answer.1);
    if let Some(breaker) = shows.breaker {
        assert_eq!(endpoint_state(stack, address), Some(breaker));
    }
    assert_eq!(admin_get(stack.admin_addr(), "/healthz").0, 200);
    assert_told_to_retry(stack, 0);
    cure(stack);
    load.wait_for_more_acks();
    await_true("/readyz is well again", || {
        admin_get(stack.admin_addr(), "/readyz") == (200, "ready\n".into())
    });
    assert_eq!(endpoint_state(stack, address), Some(0.0));
    let (ledger, requests) = load.stop();
    assert_exactly_once(stack, &ledger, requests);
}

fn one_of_two_is_dead_from_the_start(reactor: ReactorChoice) {
    let (_hold, nowhere) = closed_port();
    let mut stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.clickhouse.native.insert(0, nowhere.to_string());
    });
    let load = Load::start(Target::of(&stack));
    load.wait_for_more_acks();
    let said = format!("shard 0: ClickHouse at {nowhere} is not reachable since ");
    let (status, text) = admin_get(stack.admin_addr(), "/readyz");
    assert_eq!(status, 200, "{text}");
    assert!(text.starts_with("ready") && text.contains(&said), "{text}");
    // It is looked at again and again, and each time left alone for longer.
    await_true("the dead one's breaker opens", || {
        endpoint_state(&stack, &nowhere.to_string()) == Some(2.0)
    });
    let (ledger, requests) = load.stop();
    assert_eq!(ledger.told_to_retry, [0, 0]);
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn one_of_two_fails_and_comes_back(reactor: ReactorChoice) {
    let (mut stack, [first, second]) = stack_with_gates(reactor, |config| {
        config.insert_timeout = SHORT;
    });
    let [first_at, second_at] = [&first, &second].map(|gate| gate.address().to_string());
    let moves = |stack: &Stack| {
        let moves = metric(
            &metrics(stack.admin_addr()),
            "spanmill_failovers_total{shard=\"0\"}",
        );
        moves.expect("a counter")
    };
    let load = Load::start(Target::of(&stack));
    for (round, mode) in [Mode::Hanging, Mode::Refusing].into_iter().enumerate() {
        let before = 2.0 * round as f64;
        load.wait_for_more_acks();
        assert_eq!(moves(&stack), before, "{mode:?}");
        first.set(mode);
        await_true("inserts go to the second", || moves(&stack) == before + 1.0);
        load.wait_for_more_acks();
        let (status, text) = admin_get(stack.admin_addr(), "/readyz");
        assert!(status == 200 && text.contains(&first_at), "{status} {text}");
        assert_eq!(endpoint_state(&stack, &second_at), Some(0.0));
        first.set(Mode::Open);
        await_true("inserts return to the first", || {
            moves(&stack) == before + 2.0 && endpoint_state(&stack, &first_at) == Some(0.0)
        });
        load.wait_for_more_acks();
    }
    let (ledger, requests) = load.stop();
    assert_eq!(ledger.told_to_retry, [0, 0]);
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn an_idle_connection_is_cut(reactor: ReactorChoice) {
    let (mut stack, [gate]) = stack_with_gates(reactor, |_| {});
    let runtime = runtime();
    let mut ledger = Ledger::default();
    let mut requests = 0;
    for _ in 0..3 {
        for transport in TRANSPORTS {
            let mut client = Client::new(transport, Target::of(&stack), &runtime);
            requests += 1;
            let outcome = runtime.block_on(client.export(requests));
            assert!(matches!(outcome, Outcome::Acknowledged), "{outcome:?}");
            ledger.acknowledged[transport as usize].push(requests);
        }
        let last = "spanmill_last_insert_timestamp_seconds{shard=\"0\"}";
        await_true("the connection is idle for a while", || {
            let last = metric(&metrics(stack.admin_addr()), last).expect("a gauge");
            let last = UNIX_EPOCH + Duration::from_secs_f64(last);
            SystemTime::now().duration_since(last).unwrap_or_default() > SHORT
        });
        gate.cut();
    }
    let text = metrics(stack.admin_addr());
    let failures = text
        .lines()
        .filter(|line| line.starts_with("spanmill_insert_failures_total"));
    let failures: Vec<_> = failures.filter(|line| !line.ends_with(" 0")).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert_exactly_once(&mut stack, &ledger, requests);
}

/// An engine that reaches its ClickHouse through gates, all of them to the same server.
fn stack_with_gates<const GATES: usize>(
    reactor: ReactorChoice,
    change: impl FnOnce(&mut Config),
) -> (Stack, [Gate; GATES]) {
    let mut gates = None;
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        let clickhouse = config.clickhouse.native[0].parse().expect("an address");
        let gates = gates.insert([(); GATES].map(|()| Gate::start(clickhouse)));
        config.clickhouse.native = gates
            .iter()
            .map(|gate| gate.address().to_string())
            .collect();
        change(config);
    });
    (stack, gates.expect("they were started"))
}

fn endpoint_state(stack: &Stack, address: &str) -> Option<f64> {
    let name = format!("spanmill_endpoint_state{{shard=\"0\",endpoint=\"{address}\"}}");
    metric(&metrics(stack.admin_addr()), &name)
}
