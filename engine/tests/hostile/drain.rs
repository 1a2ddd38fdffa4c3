//! The engine stops: what is in flight is answered, whoever does not listen is left behind, and nobody keeps
//! it from stopping.

use std::thread;
use std::time::Duration;

use spanmill_engine::{DrainReport, ReactorChoice};

use crate::frames::{
    ACK, DATA, END_STREAM, Frame, GOAWAY, HEADERS, NO_ERROR, PING, REFUSED_STREAM, RST_STREAM, Raw,
    export, frame, reset, streams,
};
use crate::on_each_reactor;
use crate::support::grpc::message;
use crate::support::http1::{HttpClient, post};
use crate::support::spans::{good, new_trace_id};
use crate::support::{PATIENCE, Stack, connect};

on_each_reactor! {
    requests_in_flight_are_answered
    silent_peers_are_not_waited_for
    streams_past_goaway_are_refused
    bodies_that_never_end_are_cut
}

const ALL: DrainReport = DrainReport {
    shards: 1,
    drained: 1,
};

/// One shard that could drain for as long as a test may take.
fn patient(reactor: ReactorChoice) -> Stack {
    Stack::start_with(|config| {
        config.reactor = reactor;
        config.drain_timeout = PATIENCE;
        config.peers.tick = Duration::from_millis(50);
    })
}

/// Scenario: half of a request is sent on each transport when the engine is told to stop; the other half
/// follows once the peer knows.
/// Guarantee: GOAWAY, and nothing but an orderly end for connections at rest; both requests are stored and
/// answered, HTTP/1 with `connection: close`; then the connections end, and the drain is complete.
fn requests_in_flight_are_answered(reactor: ReactorChoice) {
    let mut stack = patient(reactor);
    let mut grpc = Raw::connect(stack.grpc_addr());
    let (grpc_id, http_id) = (new_trace_id(), new_trace_id());
    let body = message(0, &good(grpc_id));
    let (first, second) = body.split_at(body.len() / 2);
    grpc.send(&[export(1), frame(DATA, 0, 1, first)].concat());
    grpc.round_trip();
    let mut at_rest = HttpClient::connect(stack.http_addr());
    assert_eq!(at_rest.ask(&post(&[], &good(new_trace_id()))).status, 200);
    let mut http = HttpClient::connect(stack.http_addr());
    assert_eq!(http.ask(&post(&[], &good(new_trace_id()))).status, 200);
    let request = post(&[("expect", "100-continue")], &good(http_id));
    let (begin, end) = request.split_at(request.len() - 20);
    http.send(begin);
    assert_eq!(http.answer().status, 100, "the request is in flight");
    let report = thread::scope(|scope| {
        let drain = scope.spawn(|| stack.shutdown());
        at_rest.assert_closed();
        assert_eq!(grpc.next_of(GOAWAY).code(), NO_ERROR);
        let ping = grpc.next_of(PING);
        grpc.send(&frame(PING, ACK, 0, &ping.payload));
        assert_eq!(grpc.next_of(GOAWAY).payload[..4], [0, 0, 0, 1]);
        grpc.send(&frame(DATA, END_STREAM, 1, second));
        assert_eq!(grpc.next_of(DATA).payload, [0; 5], "taken");
        assert_eq!(grpc.next_of(HEADERS).flags & END_STREAM, END_STREAM);
        http.send(end);
        let answer = http.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        http.assert_closed();
        assert!(grpc.next().is_none());
        drop(grpc);
        drain.join().expect("it stops")
    });
    assert_eq!(report, ALL);
    for id in [grpc_id, http_id] {
        let id = uuid::Uuid::from_bytes(id).simple();
        let sql = format!("SELECT count() FROM spanmill.otel_traces WHERE TraceId = unhex('{id}')");
        assert_eq!(stack.query(&sql), "1");
    }
}

/// Scenario: connections that say nothing, that have begun a head, and one over HTTP/2 that answers no PING.
/// Guarantee: they do not hold up the drain, whatever its time-out, and count as drained: nothing was lost.
fn silent_peers_are_not_waited_for(reactor: ReactorChoice) {
    let mut stack = patient(reactor);
    let silent = [connect(stack.grpc_addr()), connect(stack.http_addr())];
    let mut begun = HttpClient::connect(stack.http_addr());
    begun.send(b"POST /v1/tra");
    let mut grpc = Raw::connect(stack.grpc_addr());
    grpc.round_trip();
    assert_eq!(stack.shutdown(), ALL);
    grpc.assert_goes_away(NO_ERROR);
    drop(silent);
}

/// Scenario: a peer that answers no PING and begins stream after stream when the engine stops.
/// Guarantee: after a while they are refused, the connection ends, and the drain is complete.
fn streams_past_goaway_are_refused(reactor: ReactorChoice) {
    let mut stack = patient(reactor);
    let mut grpc = Raw::connect(stack.grpc_addr());
    grpc.send(&export(1));
    grpc.round_trip();
    let report = thread::scope(|scope| {
        let drain = scope.spawn(|| stack.shutdown());
        grpc.next_of(GOAWAY);
        let refused = |frame: &Frame| frame.kind == RST_STREAM && frame.code() == REFUSED_STREAM;
        for stream in streams().skip(1) {
            assert!(grpc.send(&export(stream)));
            let came = grpc.during(Duration::from_millis(20));
            if came.iter().any(refused) {
                break;
            }
            // What was taken is given up again, so that there are always streams left.
            assert!(grpc.send(&reset(stream)));
        }
        // The last request in flight.
        assert!(grpc.send(&reset(1)));
        drain.join().expect("it stops")
    });
    assert_eq!(report, ALL);
    grpc.assert_goes_away(NO_ERROR);
}

/// Scenario: on each transport a body that is never sent to its end, and a drain of a second.
/// Guarantee: when the time is up the connections are cut, and the report says so.
fn bodies_that_never_end_are_cut(reactor: ReactorChoice) {
    let mut stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.drain_timeout = Duration::from_secs(1);
    });
    let mut grpc = Raw::connect(stack.grpc_addr());
    grpc.send(&export(1));
    grpc.round_trip();
    let mut http = HttpClient::connect(stack.http_addr());
    http.send(&post(&[("expect", "100-continue")], &[0; 100])[..150]);
    assert_eq!(http.answer().status, 100, "the request is in flight");
    let report = stack.shutdown();
    assert_eq!((report.shards, report.drained), (1, 0));
    grpc.rest();
    http.rest();
}
