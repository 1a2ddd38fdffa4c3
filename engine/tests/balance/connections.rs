//! Long-lived connections over several shards.

use std::net::TcpStream;

use spanmill_engine::ReactorChoice;

use crate::support::grpc::{Call, GrpcClient, message};
use crate::support::http1::{HttpClient, post};
use crate::support::spans::{good, new_trace_id};
use crate::support::{Stack, await_true, connect};
use crate::{decoded, of_each_shard, on_each_reactor};

on_each_reactor! {
    long_lived_connections_spread
    a_burst_of_connections_spreads
    places_are_given_back
}

/// Eight connections are a few agents; the kernel's hash alone leaves some shards without any.
const CONNECTIONS: u64 = 8;

fn with_shards(reactor: ReactorChoice, shards: usize) -> Stack {
    Stack::start_with(|config| {
        config.reactor = reactor;
        config.shards = shards;
    })
}

/// Waits until each shard has this many of `total` connections, and fails if they come to rest otherwise.
fn assert_even(stack: &Stack, shards: usize, total: u64) {
    let mut each = Vec::new();
    await_true("every connection is taken", || {
        let open = |transport| of_each_shard(stack, shards, "connections", transport);
        let grpc = open(",transport=\"grpc\"");
        let http = open(",transport=\"http\"");
        each = grpc
            .iter()
            .zip(http)
            .map(|(grpc, http)| grpc + http)
            .collect();
        each.iter().sum::<u64>() == total
    });
    assert_eq!(each, vec![total / shards as u64; shards]);
}

/// Scenario: eight connections, half of each transport, are opened one after the other and send a request
/// each, to two shards and to four.
/// Guarantee: each shard serves its share of the connections, and of the rows when all send the same.
fn long_lived_connections_spread(reactor: ReactorChoice) {
    for shards in [2, 4] {
        let stack = with_shards(reactor, shards);
        let mut grpc = Vec::new();
        let mut http = Vec::new();
        for _ in 0..CONNECTIONS / 2 {
            grpc.push(GrpcClient::connect(stack.grpc_addr()));
            http.push(HttpClient::connect(stack.http_addr()));
        }
        for client in &mut grpc {
            let answer = client.call(Call::new([message(0, &good(new_trace_id()))]));
            assert_eq!(answer.code(), 0, "{answer:?}");
        }
        for client in &mut http {
            let answer = client.ask(&post(&[], &good(new_trace_id())));
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_even(&stack, shards, CONNECTIONS);
        let share = CONNECTIONS / shards as u64;
        assert_eq!(decoded(&stack, shards), vec![share; shards]);
    }
}

/// Scenario: many connections come at once, so that all shards accept at the same time, and say nothing.
/// Guarantee: they are even all the same: no two shards give theirs to a third for the same reason.
fn a_burst_of_connections_spreads(reactor: ReactorChoice) {
    let shards = 4;
    let stack = with_shards(reactor, shards);
    let address = stack.grpc_addr();
    let open = || -> Vec<TcpStream> { (0..8).map(|_| connect(address)).collect() };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        let all = threads.into_iter().map(|thread| thread.join());
        all.flat_map(|opened| opened.expect("connections"))
            .collect()
    });
    assert_even(&stack, shards, all.len() as u64);
}

/// Scenario: eight connections are opened and closed, several times over.
/// Guarantee: those that come later are as even as the first: nothing counts that is gone.
fn places_are_given_back(reactor: ReactorChoice) {
    let shards = 2;
    let stack = with_shards(reactor, shards);
    for _ in 0..5 {
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|_| connect(stack.http_addr()))
            .collect();
        assert_even(&stack, shards, CONNECTIONS);
        drop(all);
        assert_even(&stack, shards, 0);
    }
}
