//! Rows that are bad by themselves cost nobody else anything: the rest of their request is stored, and
//! their sender is told which were not, and why.

use std::time::Duration;

use spanmill_engine::ReactorChoice;

use crate::rows::{Mixed, bad_rows, good_rows, now, rows_at};
use crate::support::Stack;
use crate::support::grpc::{Call, GrpcClient, message};
use crate::support::http1::{HttpClient, post_to};
use crate::support::packed::PACKINGS;
use crate::support::signals::new_name;
use crate::support::spans::broken_fields;
use crate::{code, on_each_reactor};

on_each_reactor! {
    over_grpc
    over_http
    broken_bodies_store_nothing
    times_out_of_range
    every_signal_has_its_place
    nothing_to_store_is_a_success
    many_reasons_are_told_in_short
}

fn assert_rest_is_stored(stack: &Stack, mixed: &Mixed, response: &[u8]) {
    let Mixed { signal, fault, .. } = mixed;
    let (rejected, why) = signal
        .partial_success(response)
        .unwrap_or_else(|| panic!("{signal:?}: {fault}: all was taken"));
    assert_eq!(rejected, mixed.bad_rows, "{signal:?}: {fault}: {why}");
    assert!(why.contains(mixed.told), "{signal:?}: {fault}: {why}");
    let stored = [&mixed.good, &mixed.bad].map(|name| signal.stored(stack, name).0);
    assert_eq!(stored, [mixed.good_rows, 0], "{signal:?}: {fault}");
}

/// Scenario: rows of each signal with every fault that a row can have, between good ones, plain and in every
/// encoding, one after the other on one connection.
/// Guarantee: OK with the number of rows left out and the reason; the others are stored, those not.
fn over_grpc(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    for (index, mixed) in bad_rows().into_iter().enumerate() {
        let mut call = match PACKINGS.get(index % (PACKINGS.len() + 1)) {
            None => Call::new([message(0, &mixed.protobuf)]),
            Some((name, pack)) => {
                Call::new([message(1, &pack(&mixed.protobuf))]).header("grpc-encoding", name)
            }
        };
        call.path = mixed.signal.method;
        let answer = client.call(call);
        assert_eq!(answer.code(), 0, "{}: {answer:?}", mixed.fault);
        assert_rest_is_stored(&stack, &mixed, answer.response());
    }
}

/// The same over HTTP.
fn over_http(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    for (index, mixed) in bad_rows().into_iter().enumerate() {
        let path = mixed.signal.path;
        let answer = client.ask(&match PACKINGS.get(index % (PACKINGS.len() + 1)) {
            None => post_to(path, &[], &mixed.protobuf),
            Some((name, pack)) => {
                post_to(path, &[("content-encoding", name)], &pack(&mixed.protobuf))
            }
        });
        assert_eq!(answer.status, 200, "{}: {answer:?}", mixed.fault);
        assert_eq!(
            answer.header("content-type"),
            Some("application/x-protobuf")
        );
        assert_rest_is_stored(&stack, &mixed, &answer.body);
    }
}

/// Scenario: requests of each signal with bad rows and good ones, that end in what is no protobuf.
/// Guarantee: INVALID_ARGUMENT and 400, and not even the good rows are stored.
fn broken_bodies_store_nothing(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    for mixed in rows_at(now()).iter().chain(&bad_rows()[..1]) {
        let signal = mixed.signal;
        for (fault, bytes) in broken_fields() {
            let body = [&mixed.protobuf[..], &bytes].concat();
            let mut call = Call::new([message(0, &body)]);
            call.path = signal.method;
            let answer = grpc.call(call);
            assert_eq!(answer.code(), code::INVALID_ARGUMENT, "{fault}: {answer:?}");
            let answer = http.ask(&post_to(signal.path, &[], &body));
            assert_eq!(answer.status, 400, "{fault}: {answer:?}");
            assert_eq!(answer.rpc_status().code, code::INVALID_ARGUMENT, "{fault}");
        }
        let stored = [&mixed.good, &mixed.bad].map(|name| signal.stored(&stack, name).0);
        assert_eq!(stored, [0, 0], "{signal:?}");
    }
}

/// Scenario: an engine that takes rows from an hour ago to an hour ahead; rows of each signal of two hours ago,
/// of two hours ahead, of 1970 and of the end of time, between rows of now.
/// Guarantee: they are left out, their sender is told which field is wrong and which settings say so.
fn times_out_of_range(reactor: ReactorChoice) {
    const HOUR: u64 = 3_600_000_000_000;
    let stack = Stack::shared_with("an hour", reactor, |config| {
        config.timestamp_past_max = Duration::from_nanos(HOUR);
        config.timestamp_future_max = Duration::from_nanos(HOUR);
    });
    let mut client = GrpcClient::connect(stack.grpc_addr());
    for at in [now() - 2 * HOUR, now() + 2 * HOUR, 1, u64::MAX] {
        for mixed in rows_at(at) {
            let mut call = Call::new([message(0, &mixed.protobuf)]);
            call.path = mixed.signal.method;
            let answer = client.call(call);
            assert_eq!(answer.code(), 0, "{at}: {answer:?}");
            let (_, why) = mixed
                .signal
                .partial_success(answer.response())
                .expect("rows left out");
            assert!(why.contains("timestamp_past_max"), "{why}");
            assert_rest_is_stored(&stack, &mixed, answer.response());
        }
    }
}

/// Scenario: good rows of each signal to each signal's method and path, its own and the others'.
/// Guarantee: its own stores them; the others store nothing under their name.
fn every_signal_has_its_place(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    for at in 0..3 {
        let name = new_name();
        let (_, body) = &good_rows(&name)[at];
        for (place, (signal, _)) in good_rows(&name).iter().enumerate() {
            let mut call = Call::new([message(0, body)]);
            call.path = signal.method;
            let grpc = grpc.call(call);
            let http = http.ask(&post_to(signal.path, &[], body));
            let stored = signal.stored(&stack, &name).0;
            if place == at {
                assert_eq!(
                    (grpc.code(), http.status, stored),
                    (0, 200, 4),
                    "{signal:?}"
                );
                assert_eq!(grpc.data, [0; 5], "full success leaves the response empty");
                assert!(
                    http.body.is_empty(),
                    "full success leaves the response empty"
                );
            } else {
                // Another signal's message may or may not read as this one's; its rows it has not.
                assert_eq!(stored, 0, "{signal:?}");
            }
        }
    }
}

/// Scenario: for each signal nothing, a resource without anything, a scope without anything, and a field of
/// the future.
/// Guarantee: success with an empty response.
fn nothing_to_store_is_a_success(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    for (signal, _) in good_rows("") {
        for body in [
            &b""[..],
            &[0x0a, 0],
            &[0x0a, 2, 0x12, 0],
            &[0xfa, 0x3e, 1, b'x'],
        ] {
            let mut call = Call::new([message(0, body)]);
            call.path = signal.method;
            let answer = grpc.call(call);
            assert_eq!(
                (answer.code(), &answer.data[..]),
                (0, &[0; 5][..]),
                "{signal:?}"
            );
            let answer = http.ask(&post_to(signal.path, &[], body));
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{signal:?}");
        }
    }
}

/// Scenario: a request in which thousands of rows are bad for many different reasons.
/// Guarantee: every one is counted, and the text stays short.
fn many_reasons_are_told_in_short(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let all = bad_rows();
    let of_traces = all.iter().filter(|mixed| mixed.signal.path == "/v1/traces");
    // Export requests one after the other are one request with all their resources.
    let (mut body, mut rejected) = (Vec::new(), 0);
    for mixed in of_traces.cycle().take(1000) {
        body.extend_from_slice(&mixed.protobuf);
        rejected += mixed.bad_rows;
    }
    let mut call = Call::new([message(0, &body)]);
    call.path = all[0].signal.method;
    let answer = client.call(call);
    let partial = all[0].signal.partial_success(answer.response());
    let (count, why) = partial.expect("rows left out");
    assert_eq!(count, rejected);
    assert!(why.len() <= 1024, "{}", why.len());
    assert!(why.contains("for other reasons"), "{why}");
}
