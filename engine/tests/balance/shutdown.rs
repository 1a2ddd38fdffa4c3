//! The engine stops, or ClickHouse does, while shards store what others received.

use std::time::Duration;

use spanmill_embedded::testing::TestServer;
use spanmill_engine::ReactorChoice;

use crate::ledger::load::{Ledger, Load, Target};
use crate::ledger::stored::{assert_exactly_once, assert_stored};
use crate::support::grpc::{Call, GrpcClient, message};
use crate::support::spans::{large, new_trace_id};
use crate::support::{PATIENCE, Stack, await_true};
use crate::{always_handing_over, decoded, of_each_shard, on_each_reactor};

on_each_reactor! {
    handed_bodies_are_answered_before_the_end
    the_engine_stops_under_load
    clickhouse_is_killed_under_load
}

/// Longer than any test: batches come only when the engine drains.
const NEVER: Duration = Duration::from_secs(3600);
/// Long enough for an insert on a busy machine, short enough to outlast in a test.
const SHORT: Duration = Duration::from_secs(2);
const CALLS: u64 = 24;

/// Scenario: bodies have been handed over and walked, none is inserted yet, and the engine is shut down.
/// Guarantee: every shard drains, every request is acknowledged, and each is stored once: no shard ends
/// before what others gave it is stored and they have passed its answers on.
fn handed_bodies_are_answered_before_the_end(reactor: ReactorChoice) {
    for shards in [2, 4] {
        let mut stack = Stack::start_with(|config| {
            config.reactor = reactor;
            always_handing_over(config, shards);
            config.batch_rows = 1 << 20;
            config.batch_age = NEVER;
            config.ack_timeout = NEVER;
        });
        let mut client = GrpcClient::connect(stack.grpc_addr());
        let sending = std::thread::spawn(move || {
            let call = |_| Call::new([message(0, &large(new_trace_id(), 100 << 10))]);
            client.calls((0..CALLS).map(call))
        });
        await_true("every request is walked", || {
            decoded(&stack, shards).iter().sum::<u64>() == CALLS
        });
        let handed = of_each_shard(&stack, shards, "bodies_handed_over_total", "");
        assert!(handed.iter().sum::<u64>() > 0, "{handed:?}");
        let report = stack.shutdown();
        assert_eq!(report.drained, report.shards, "{report}");
        for answer in sending.join().expect("answers") {
            assert_eq!(answer.code(), 0, "{answer:?}");
        }
        let stored = stack.query("SELECT count(), uniqExact(TraceId) FROM spanmill.otel_traces");
        assert_eq!(stored, format!("{CALLS}\t{CALLS}"));
    }
}

/// Clients of both transports on both shards, of which each hands over what it can.
fn under_load(reactor: ReactorChoice, ack_timeout: Duration) -> (Stack, Load) {
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        always_handing_over(config, 2);
        config.ack_timeout = ack_timeout;
    });
    let load = Load::start(Target::of(&stack));
    load.wait_for_more_acks();
    let handed = of_each_shard(&stack, 2, "bodies_handed_over_total", "");
    assert!(handed.iter().sum::<u64>() > 0, "{handed:?}");
    (stack, load)
}

/// Scenario: the engine is shut down while clients send and shards hand over.
/// Guarantees: every shard drains, no request is left without an answer that is right for its client, and
/// everything that was acknowledged is stored exactly once, rollups included.
fn the_engine_stops_under_load(reactor: ReactorChoice) {
    let (mut stack, load) = under_load(reactor, PATIENCE);
    load.expect_the_end();
    let report = stack.shutdown();
    assert_eq!(report.drained, report.shards, "{report}");
    let (ledger, requests) = load.stop();
    assert_stored(&stack.clickhouse, &ledger, requests);
}

/// Scenario: ClickHouse is killed while shards hand over to each other, and stays away for longer than
/// `ack_timeout`.
/// Guarantees: what one shard walked for the other is told to retry as well, in each transport's own form;
/// what is acknowledged is stored exactly once.
fn clickhouse_is_killed_under_load(reactor: ReactorChoice) {
    let (mut stack, load) = under_load(reactor, SHORT);
    TestServer::kill(&mut stack.clickhouse);
    load.wait("clients of both transports are told", Ledger::told_on_both);
    stack.clickhouse.start();
    load.wait_for_more_acks();
    let (ledger, requests) = load.stop();
    assert_exactly_once(&mut stack, &ledger, requests);
}
