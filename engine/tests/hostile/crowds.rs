//! More connections than there are places.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use spanmill_engine::ReactorChoice;

use crate::frames::{DATA, END_STREAM, Frames, PREFACE, Raw, SETTINGS, export, frame};
use crate::support::grpc::message;
use crate::support::http1::post;
use crate::support::spans::{good, new_trace_id, nothing};
use crate::support::{Stack, admin_get, await_true, connect};
use crate::{assert_ended, beside_neighbours, on_each_reactor};

on_each_reactor! {
    silent_crowds
    the_longest_idle_makes_room
    crowds_at_the_admin_port
}

/// Places of the engine's only shard, and of its admin port.
const PLACES: usize = 8;

fn few_places(reactor: ReactorChoice) -> Stack {
    Stack::start_with(|config| {
        config.reactor = reactor;
        config.peers.tick = Duration::from_millis(20);
        config.peers.connections = PLACES;
        config.peers.admin_connections = PLACES;
    })
}

/// Forgets those that were opened first, so that this process does not run out of descriptors itself.
fn keep_few(crowd: &mut Vec<TcpStream>) {
    let surplus = crowd.len().saturating_sub(10 * PLACES);
    crowd.drain(..surplus);
}

/// Scenario: many times as many connections as there are places, kept open by a peer that sends nothing.
/// Guarantee: clients that were there go on; new ones are served though the places stay taken, at the latest
/// when they try again because theirs was among those that made room.
fn silent_crowds(reactor: ReactorChoice) {
    let stack = few_places(reactor);
    let mut crowd = Vec::new();
    beside_neighbours(&stack, || {
        for _ in 0..PLACES {
            crowd.push(connect(stack.grpc_addr()));
            crowd.push(connect(stack.http_addr()));
        }
        keep_few(&mut crowd);
        await_true("a new gRPC client is served", || {
            let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &export(1)].concat();
            let body = message(0, &good(new_trace_id()));
            let call = [begin, frame(DATA, END_STREAM, 1, &body)].concat();
            let mut socket = connect(stack.grpc_addr());
            socket.write_all(&call).is_ok()
                && Frames(socket).any(|frame| frame.kind == DATA && frame.payload == [0; 5])
        });
        await_true("a new HTTP client is served", || {
            let mut socket = connect(stack.http_addr());
            let mut status = [0; 12];
            socket.write_all(&post(&[], &good(new_trace_id()))).is_ok()
                && socket.read_exact(&mut status).is_ok()
                && &status == b"HTTP/1.1 200"
        });
    });
    assert!(crowd.len() > PLACES);
    assert_ended(&stack, "grpc", &["room"]);
    assert_ended(&stack, "http", &["room"]);
}

/// Scenario: every place is taken by a connection that has been used, one after the other, and the first once
/// more at last; then two more come.
/// Guarantee: those idle for the longest make room, told so without an error; the others go on.
fn the_longest_idle_makes_room(reactor: ReactorChoice) {
    let stack = few_places(reactor);
    let body = message(0, &nothing(100));
    let use_once = |raw: &mut Raw, stream| {
        raw.send(&[export(stream), frame(DATA, END_STREAM, stream, &body)].concat());
        assert_eq!(raw.next_of(DATA).stream, stream);
    };
    let mut peers = Vec::new();
    for _ in 0..PLACES {
        let mut raw = Raw::connect(stack.grpc_addr());
        use_once(&mut raw, 1);
        peers.push(raw);
    }
    use_once(&mut peers[0], 3);
    let mut newcomers = Vec::new();
    for _ in 0..2 {
        newcomers.push(Raw::connect(stack.grpc_addr()));
        use_once(newcomers.last_mut().expect("it was just added"), 1);
    }
    // Asking the others first shows that they are there still.
    for (index, raw) in peers.iter_mut().enumerate() {
        if index == 0 || index > 3 {
            use_once(raw, 5);
        }
    }
    peers.remove(1).assert_goes_away(crate::frames::NO_ERROR);
    peers.remove(1).assert_goes_away(crate::frames::NO_ERROR);
}

/// Scenario: the same crowd at the admin port.
/// Guarantee: it answers.
fn crowds_at_the_admin_port(reactor: ReactorChoice) {
    let stack = few_places(reactor);
    let mut crowd = Vec::new();
    beside_neighbours(&stack, || {
        for _ in 0..3 * PLACES {
            crowd.push(connect(stack.admin_addr()));
        }
        keep_few(&mut crowd);
        assert_eq!(admin_get(stack.admin_addr(), "/healthz").0, 200);
    });
}
