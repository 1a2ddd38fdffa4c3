//! ClickHouse goes away and comes back while clients send without pause: killed, stopped, hung, cut off, or
//! restarted while nobody sends. And the engine itself stops under load. Each time the ledger of what was
//! acknowledged is held against what is stored.

#[path = "../ledger/mod.rs"]
mod ledger;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use ledger::load::{Client, Ledger, Load, Outcome, TRANSPORTS, Target, runtime};
use ledger::proxy::Proxy;
use ledger::stored::{assert_exactly_once, assert_stored, assert_told_to_retry};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spanmill_embedded::testing::TestServer;
use spanmill_engine::ReactorChoice;
use support::{Stack, await_true, metric, metrics};

/// Long enough for an insert on a busy machine, short enough to outlast in a test.
const SHORT: Duration = Duration::from_secs(2);

on_each_reactor! {
    /// Scenario: ClickHouse is killed with SIGKILL under load and started again, three times; batches in
    /// hand are tried until it is back.
    /// Guarantees: while it is away a new request is told to retry, in each transport's own form, and no
    /// request gets any other refusal; the engine recovers by itself; every acknowledged row is stored
    /// exactly once, every other at most once, none without its resource and series, and every rollup is
    /// what it would be had nothing been sent twice.
    clickhouse_is_killed

    /// Scenario: the same once with SIGTERM, under which ClickHouse goes on for a while on the connection
    /// that it has.
    /// Guarantees: the same.
    clickhouse_is_stopped

    /// Scenario: ClickHouse is killed and stays away for longer than `ack_timeout`.
    /// Guarantees: requests that were in hand are told to retry, too; otherwise the same.
    clickhouse_stays_away

    /// Scenario: ClickHouse hangs (SIGSTOP) for longer than `ack_timeout`, then goes on (SIGCONT) and may
    /// still execute inserts that the engine has given up meanwhile.
    /// Guarantees: requests are told to retry when `ack_timeout` is over, however long `insert_timeout` is;
    /// otherwise the same.
    clickhouse_hangs

    /// Scenario: ClickHouse hangs for longer than `insert_timeout`, so that an insert is sent again on a new
    /// connection, and may then execute both.
    /// Guarantees: the same, with no request refused that was in hand.
    an_insert_is_overtaken

    /// Scenario: inserts are stored, and the connection is cut before their confirmations arrive, three
    /// times; three more times ClickHouse is killed with the confirmation.
    /// Guarantees: each is sent again and stored once.
    confirmations_are_lost

    /// Scenario: the connection is cut at many places between its first byte and the end of an insert.
    /// Guarantees: no part of an insert is stored that was not stored in whole and once.
    inserts_are_cut_short

    /// Scenario: the engine is shut down while clients send.
    /// Guarantees: every shard drains, and everything that was acknowledged is stored exactly once.
    the_engine_stops_under_load

    /// Scenario: ClickHouse is restarted, by SIGTERM and by SIGKILL, while nothing is sent, so that the
    /// engine's connection is dead when the next request comes.
    /// Guarantees: that request is stored or told to retry, and what is acknowledged in the end is stored
    /// exactly once.
    clickhouse_restarts_while_idle
}

fn clickhouse_is_killed(reactor: ReactorChoice) {
    outages(reactor, 3, TestServer::kill);
}

fn clickhouse_is_stopped(reactor: ReactorChoice) {
    outages(reactor, 1, TestServer::stop);
}

fn outages(reactor: ReactorChoice, times: u64, end: impl Fn(&mut TestServer)) {
    let mut stack = Stack::start(reactor);
    let load = Load::start(Target::of(&stack));
    for outage in 0..times {
        load.wait_for_more_acks();
        end(&mut stack.clickhouse);
        await_unavailable(&stack);
        assert_told_to_retry(&stack, outage);
        stack.clickhouse.start();
    }
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn clickhouse_stays_away(reactor: ReactorChoice) {
    let mut stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.ack_timeout = SHORT;
    });
    let load = Load::start(Target::of(&stack));
    load.wait_for_more_acks();
    stack.clickhouse.kill();
    load.wait("those in hand are told to retry", Ledger::told_on_both);
    stack.clickhouse.start();
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn clickhouse_hangs(reactor: ReactorChoice) {
    let mut stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.ack_timeout = SHORT;
    });
    let pid = stack.clickhouse.server().pid();
    let pid = Pid::from_raw(pid.try_into().expect("a pid"));
    let load = Load::start(Target::of(&stack));
    load.wait_for_more_acks();
    kill(pid, Signal::SIGSTOP).expect("ClickHouse is stopped");
    load.wait("those in hand are told to retry", Ledger::told_on_both);
    kill(pid, Signal::SIGCONT).expect("ClickHouse goes on");
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn an_insert_is_overtaken(reactor: ReactorChoice) {
    let mut stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.insert_timeout = SHORT;
    });
    let pid = stack.clickhouse.server().pid();
    let pid = Pid::from_raw(pid.try_into().expect("a pid"));
    let load = Load::start(Target::of(&stack));
    for _ in 0..3 {
        load.wait_for_more_acks();
        kill(pid, Signal::SIGSTOP).expect("ClickHouse is stopped");
        await_unavailable(&stack);
        kill(pid, Signal::SIGCONT).expect("ClickHouse goes on");
    }
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn confirmations_are_lost(reactor: ReactorChoice) {
    let (mut stack, proxy) = stack_with_proxy(reactor);
    let load = Load::start(Target::of(&stack));
    for with_clickhouse in [false, true].repeat(3) {
        load.wait_for_more_acks();
        proxy.lose_a_confirmation();
        if with_clickhouse {
            stack.clickhouse.kill();
            stack.clickhouse.start();
        }
        proxy.cut();
    }
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn inserts_are_cut_short(reactor: ReactorChoice) {
    let (mut stack, proxy) = stack_with_proxy(reactor);
    let load = Load::start(Target::of(&stack));
    // An insert of a few requests is some 2,000 bytes: its head, an empty block, the rows, an empty block.
    for bytes in (0..4000).step_by(251) {
        load.wait_for_more_acks();
        proxy.cut_after(bytes);
    }
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}

fn stack_with_proxy(reactor: ReactorChoice) -> (Stack, Proxy) {
    let mut proxy = None;
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        let clickhouse = config.clickhouse.native[0].parse().expect("an address");
        let proxy = proxy.insert(Proxy::start(clickhouse));
        config.clickhouse.native = vec![proxy.address().to_string()];
    });
    (stack, proxy.expect("it was started"))
}

fn the_engine_stops_under_load(reactor: ReactorChoice) {
    let mut stack = Stack::start(reactor);
    let load = Load::start(Target::of(&stack));
    load.wait_for_more_acks();
    load.expect_the_end();
    let report = stack.shutdown();
    assert_eq!(report.drained, report.shards, "{report}");
    let (ledger, requests) = load.stop();
    assert_stored(&stack.clickhouse, &ledger, requests);
}

fn clickhouse_restarts_while_idle(reactor: ReactorChoice) {
    let mut stack = Stack::start(reactor);
    let runtime = runtime();
    let mut ledger = Ledger::default();
    let mut requests = 0;
    for end in [TestServer::stop, TestServer::kill] {
        for transport in TRANSPORTS {
            let mut client = Client::new(transport, Target::of(&stack), &runtime);
            let mut until_acknowledged = || {
                await_true("a request is acknowledged", || {
                    requests += 1;
                    match runtime.block_on(client.export(requests)) {
                        Outcome::Acknowledged => {
                            ledger.acknowledged[transport as usize].push(requests);
                            true
                        }
                        Outcome::ToldToRetry => false,
                        Outcome::Unanswered(how) | Outcome::Failed(how) => {
                            panic!("{transport:?}: {how}")
                        }
                    }
                });
            };
            until_acknowledged();
            end(&mut stack.clickhouse);
            stack.clickhouse.start();
            until_acknowledged();
        }
    }
    assert_exactly_once(&mut stack, &ledger, requests);
}

/// Waits until the engine has noticed that ClickHouse is away.
fn await_unavailable(stack: &Stack) {
    await_true("the engine notices", || {
        let text = metrics(stack.admin_addr());
        metric(&text, "spanmill_clickhouse_available{shard=\"0\"}") == Some(0.0)
    });
}
