//! `up` and `clickhouse` as a whole: the real binary with a real embedded ClickHouse, on free ports
//! over a folder of its own.

mod support;

use nix::sys::signal::Signal;
use support::{Frozen, Spanmill, pid_in, query, send, value_of, wait_until_ok};

/// Scenario: `up` on an empty data folder, then SIGTERM. Guarantees: it prints addresses that
/// answer, the tables are there, it becomes ready, and it ends with 0.
#[test]
fn up_comes_up_and_stops() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("up", data.path());
    let block = spanmill.block();
    wait_until_ok(value_of(&block, "Admin"), "/readyz");
    let clickhouse = value_of(&block, "ClickHouse");
    assert_eq!(
        query(clickhouse, "SELECT count() FROM otel.otel_traces"),
        "0"
    );
    assert!(
        block.contains(data.path().to_str().expect("UTF-8")),
        "{block}"
    );

    spanmill.signal(Signal::SIGTERM);
    let (status, log) = spanmill.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("engine stopped"), "{log}");
}

/// Scenario: somebody kills the embedded ClickHouse under a running `up`. Guarantees: that is
/// logged, it is started again on the same port, and the engine becomes ready again.
#[test]
fn a_dead_clickhouse_is_started_again() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("up", data.path());
    let pid = pid_in(&spanmill.log_line("embedded ClickHouse runs pid="));
    let block = spanmill.block();
    send(pid, Signal::SIGKILL);
    spanmill.log_line("ended by itself");
    let line = spanmill.log_line("embedded ClickHouse runs again");
    assert_ne!(pid_in(&line), pid);
    assert_eq!(query(value_of(&block, "ClickHouse"), "SELECT 1"), "1");
    wait_until_ok(value_of(&block, "Admin"), "/readyz");

    spanmill.signal(Signal::SIGINT);
    let (status, log) = spanmill.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Scenario: ClickHouse hangs while it is asked to stop, and the user presses Ctrl-C twice.
/// Guarantees: the second ends the process at once, with 130.
#[test]
fn a_second_signal_ends_at_once() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("clickhouse", data.path());
    let pid = pid_in(&spanmill.log_line("embedded ClickHouse runs pid="));
    spanmill.block();
    // It follows its parent once it goes on, at the end of this test.
    let _frozen = Frozen::new(pid);
    spanmill.signal(Signal::SIGINT);
    spanmill.log_line("stopping ClickHouse");
    spanmill.signal(Signal::SIGINT);
    let (status, log) = spanmill.ended();
    assert_eq!(status.code(), Some(130), "{log}");
}

/// Scenario: `clickhouse` alone, then Ctrl-C, then once more on the same folder. Guarantees: it
/// answers at the printed address, ends with 0, and what was stored is there the second time.
#[test]
fn clickhouse_alone_keeps_its_data() {
    let data = tempfile::tempdir().expect("a folder");
    let run = |sql: &[&str]| {
        let spanmill = Spanmill::start("clickhouse", data.path());
        let block = spanmill.block();
        let answers: Vec<_> = sql
            .iter()
            .map(|sql| query(value_of(&block, "ClickHouse"), sql))
            .collect();
        spanmill.signal(Signal::SIGINT);
        let (status, log) = spanmill.ended();
        assert_eq!(status.code(), Some(0), "{log}");
        answers
    };
    run(&[
        "CREATE TABLE kept (x UInt8) ENGINE = MergeTree ORDER BY x",
        "INSERT INTO kept VALUES (42)",
    ]);
    assert_eq!(run(&["SELECT x FROM kept"]), ["42"]);
}
