//! Peers that take their time: heads, frames and bodies that trickle or stop, connections that say nothing.
//! Each test shortens the one time that it is about.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmill_engine::{PeerLimits, ReactorChoice};

use crate::frames::{
    ACK, DATA, END_STREAM, Frame, GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, Raw, closed, export,
    export_block, frame,
};
use crate::support::grpc::message;
use crate::support::http1::{HttpClient, post};
use crate::support::spans::{good, new_trace_id, nothing};
use crate::support::{PATIENCE, Stack, await_true, connect, metric, metrics};
use crate::{assert_ended, beside_neighbours, on_each_reactor};

on_each_reactor! {
    silent_connections
    slow_heads
    heads_that_stop
    slow_http_bodies
    slow_grpc_bodies
    bodies_that_take_too_long
    slow_links
    idle_http_connections
    idle_grpc_connections
    idle_grpc_connections_that_do_not_listen
}

const SHORT: Duration = Duration::from_secs(1);

/// A stack whose limits are changed, with a fine grain.
fn stack(
    name: &'static str,
    reactor: ReactorChoice,
    change: impl FnOnce(&mut PeerLimits),
) -> Arc<Stack> {
    Stack::shared_with(name, reactor, |config| {
        config.peers.tick = Duration::from_millis(50);
        change(&mut config.peers);
    })
}

fn short_heads(reactor: ReactorChoice) -> Arc<Stack> {
    stack("heads", reactor, |limits| limits.head = SHORT)
}

/// Sends `part` again and again, a little apart, until the other side answers or ends the connection; then
/// what it says up to its end.
fn trickle(socket: &mut TcpStream, part: &[u8]) -> Vec<u8> {
    let apart = Duration::from_millis(20);
    socket.set_read_timeout(Some(apart)).expect("a time-out");
    let begun = Instant::now();
    let mut said = vec![0; 4096];
    loop {
        assert!(begun.elapsed() < PATIENCE, "it is waited for");
        match socket.write_all(part) {
            Err(error) if closed(error.kind()) => return Vec::new(),
            written => written.expect("bytes are taken"),
        }
        match socket.read(&mut said) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if closed(error.kind()) => return Vec::new(),
            read => {
                said.truncate(read.expect("an answer or an end"));
                return said;
            }
        }
    }
}

/// The connection ends, with or without order, and nothing more is said.
fn assert_ends(mut socket: TcpStream) {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Err(error) if closed(error.kind()) => {}
        ended => assert_eq!((ended.expect("an end"), &rest[..]), (0, &[][..])),
    }
}

/// Scenario: connections to each port, the admin port too, that send nothing at all, and some that stop after
/// the first bytes of HTTP/2.
/// Guarantee: each ends without a word.
fn silent_connections(reactor: ReactorChoice) {
    let stack = short_heads(reactor);
    beside_neighbours(&stack, || {
        let ports = [stack.grpc_addr(), stack.http_addr(), stack.admin_addr()];
        let mut silent: Vec<TcpStream> = ports.iter().map(|port| connect(*port)).collect();
        let mut begun = connect(stack.grpc_addr());
        begun.write_all(&PREFACE[..10]).expect("bytes are taken");
        silent.push(begun);
        silent.into_iter().for_each(assert_ends);
    });
    assert_ended(&stack, "grpc", &["slow"]);
    assert_ended(&stack, "http", &["slow"]);
}

/// Scenario: heads of requests that grow by a byte now and then, on each port ("slowloris"); for HTTP/2, a
/// header block whose frame does.
/// Guarantee: each is cut, however often a byte comes.
fn slow_heads(reactor: ReactorChoice) {
    let stack = short_heads(reactor);
    beside_neighbours(&stack, || {
        for port in [stack.http_addr(), stack.admin_addr()] {
            let mut socket = connect(port);
            let begin = b"GET /metrics HTTP/1.1\r\nhost: engine\r\nx: ";
            socket.write_all(begin).expect("bytes are taken");
            assert_eq!(trickle(&mut socket, b"y"), b"");
        }
    });
    beside_neighbours(&stack, || {
        let mut socket = connect(stack.grpc_addr());
        let headers = frame(HEADERS, END_STREAM, 1, &[0; 10_000]);
        let begin = [PREFACE, &frame(4, 0, 0, &[]), &headers[..9]].concat();
        socket.write_all(&begin).expect("bytes are taken");
        let mut settings = [0; 1024];
        assert!(socket.read(&mut settings).expect("SETTINGS") > 0);
        // Their acknowledgement may come in between.
        while !trickle(&mut socket, &[0]).is_empty() {}
    });
}

/// Scenario: a good request, and on the same connection the beginning of another head; for HTTP/2, of a frame,
/// and a header block that is not continued.
/// Guarantee: each connection ends, though it was a good one.
fn heads_that_stop(reactor: ReactorChoice) {
    let stack = short_heads(reactor);
    beside_neighbours(&stack, || {
        let mut http = HttpClient::connect(stack.http_addr());
        assert_eq!(http.ask(&post(&[], &good(new_trace_id()))).status, 200);
        http.send(b"POST /v1/traces HT");
        let mut cut = Vec::new();
        for rest in [
            &frame(PING, 0, 0, &[0; 8])[..12],
            &frame(HEADERS, 0, 3, &export_block()),
        ] {
            let mut raw = Raw::connect(stack.grpc_addr());
            let body = message(0, &nothing(100));
            raw.send(&[export(1), frame(DATA, END_STREAM, 1, &body)].concat());
            raw.next_of(DATA);
            assert!(raw.send(rest));
            cut.push(raw);
        }
        for raw in cut {
            drop(raw.rest());
        }
        http.assert_closed();
    });
}

fn short_windows(reactor: ReactorChoice) -> Arc<Stack> {
    stack("windows", reactor, |limits| limits.body_window = SHORT)
}

/// What is held for requests is given back.
fn assert_nothing_held(stack: &Stack) {
    await_true("nothing is held", || {
        let metrics = metrics(stack.admin_addr());
        metric(&metrics, "spanmill_pending_bytes{shard=\"0\"}") == Some(0.0)
    });
}

/// Scenario: a body of which most comes at once, and the rest a byte now and then.
/// Guarantee: 503 with Retry-After while it is being sent, and what it held is given back.
fn slow_http_bodies(reactor: ReactorChoice) {
    let stack = short_windows(reactor);
    beside_neighbours(&stack, || {
        let mut socket = connect(stack.http_addr());
        let whole = post(&[], &vec![0; 1 << 20]);
        socket
            .write_all(&whole[..1 << 19])
            .expect("bytes are taken");
        let answer = trickle(&mut socket, &[0]);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
    });
    assert_nothing_held(&stack);
}

/// Scenario: the same over gRPC, in frames of a hundred bytes, with another call on the same connection.
/// Guarantee: the call is refused (an answer without a message), the other one is taken, and what it held is
/// given back.
fn slow_grpc_bodies(reactor: ReactorChoice) {
    let stack = short_windows(reactor);
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        let body = message(0, &nothing(1 << 16));
        raw.send(&[export(1), frame(DATA, 0, 1, &body[..10_000])].concat());
        let answer = loop {
            assert!(raw.send(&frame(DATA, 0, 1, &[0; 100])));
            let came = raw.during(Duration::from_millis(20));
            if let Some(answer) = came.into_iter().find(|frame| frame.kind == HEADERS) {
                break answer;
            }
        };
        assert_eq!((answer.stream, answer.flags & END_STREAM), (1, END_STREAM));
        let other = message(0, &nothing(100));
        raw.send(&[export(3), frame(DATA, END_STREAM, 3, &other)].concat());
        assert_eq!(raw.next_of(DATA).stream, 3);
    });
    assert_nothing_held(&stack);
}

/// Scenario: a body that comes fast enough, and goes on for longer than any may.
/// Guarantee: 503 while it is being sent.
fn bodies_that_take_too_long(reactor: ReactorChoice) {
    let stack = stack("bodies", reactor, |limits| {
        limits.body = 2 * SHORT;
        limits.body_window = SHORT;
        limits.body_rate_min = 1;
    });
    beside_neighbours(&stack, || {
        let mut socket = connect(stack.http_addr());
        socket
            .write_all(&post(&[], &vec![0; 1 << 21])[..200])
            .expect("bytes are taken");
        let answer = trickle(&mut socket, &[0; 10]);
        assert!(answer.starts_with(b"HTTP/1.1 503 "));
    });
    assert_nothing_held(&stack);
}

/// Scenario: bodies on a slow link: little at a time, but enough, over several windows.
/// Guarantee: they are stored, on either transport.
fn slow_links(reactor: ReactorChoice) {
    let stack = stack("links", reactor, |limits| {
        limits.body_window = SHORT / 2;
        limits.body_rate_min = 100;
    });
    let begun = Instant::now();
    let body = nothing(1 << 20);
    let whole = post(&[], &body);
    let (head, mut rest) = whole.split_at(whole.len() - body.len());
    let mut http = HttpClient::connect(stack.http_addr());
    http.send(head);
    let mut grpc = Raw::connect(stack.grpc_addr());
    let message = message(0, &body);
    let mut frames = message.chunks(1000);
    grpc.send(&export(1));
    // Two seconds are several windows, and there are more parts than that takes.
    while begun.elapsed() < 2 * SHORT {
        let (part, after) = rest.split_at(1000);
        http.send(part);
        rest = after;
        grpc.send(&frame(DATA, 0, 1, frames.next().expect("a part")));
        grpc.during(Duration::from_millis(10));
    }
    http.send(rest);
    assert_eq!(http.answer().status, 200);
    for part in frames {
        grpc.send(&frame(DATA, 0, 1, part));
    }
    grpc.send(&frame(DATA, END_STREAM, 1, &[]));
    assert_eq!(grpc.next_of(DATA).payload, [0; 5]);
}

fn short_idleness(reactor: ReactorChoice) -> Arc<Stack> {
    stack("idle", reactor, |limits| {
        limits.idle = 2 * SHORT;
        limits.goaway = SHORT;
    })
}

/// Scenario: a request, and then nothing; on the admin port as well.
/// Guarantee: the connection ends in order.
fn idle_http_connections(reactor: ReactorChoice) {
    let stack = short_idleness(reactor);
    let mut http = HttpClient::connect(stack.http_addr());
    assert_eq!(http.ask(&post(&[], &good(new_trace_id()))).status, 200);
    let mut admin = HttpClient::connect(stack.admin_addr());
    let asked = admin.ask(b"GET /healthz HTTP/1.1\r\nhost: engine\r\n\r\n");
    assert_eq!(asked.status, 200);
    http.assert_closed();
    admin.assert_closed();
    assert_ended(&stack, "http", &["idle"]);
}

/// Scenario: the same over gRPC, where the peer goes on with PINGs, as keep-alives are.
/// Guarantee: GOAWAY without an error and without a stream that was not served; when the peer answers the
/// PING that comes with it, a last GOAWAY, and the end.
fn idle_grpc_connections(reactor: ReactorChoice) {
    let stack = short_idleness(reactor);
    let mut raw = Raw::connect(stack.grpc_addr());
    let body = message(0, &nothing(100));
    raw.send(&[export(1), frame(DATA, END_STREAM, 1, &body)].concat());
    raw.next_of(DATA);
    let mut came = Vec::new();
    let first = loop {
        assert!(raw.send(&frame(PING, 0, 0, b"anyone??")));
        came.extend(raw.during(Duration::from_millis(100)));
        if let Some(goaway) = came.iter().find(|frame| frame.kind == GOAWAY) {
            break goaway;
        }
    };
    assert_eq!(first.code(), NO_ERROR);
    assert_eq!(
        first.payload[..4],
        [0x7f, 0xff, 0xff, 0xff],
        "all streams until it hears"
    );
    let their_ping = |frame: &&Frame| frame.kind == PING && frame.flags & ACK == 0;
    let ping = came.iter().find(their_ping).cloned();
    let ping = ping.unwrap_or_else(|| raw.next_of(PING));
    raw.send(&frame(PING, ACK, 0, &ping.payload));
    let last = raw.next_of(GOAWAY);
    assert_eq!(
        (last.code(), &last.payload[..4]),
        (NO_ERROR, &[0, 0, 0, 1][..])
    );
    assert!(raw.next().is_none());
    assert_ended(&stack, "grpc", &["idle"]);
}

/// Scenario: the same, and the peer does not answer the PING.
/// Guarantee: a last GOAWAY all the same, and the end.
fn idle_grpc_connections_that_do_not_listen(reactor: ReactorChoice) {
    let stack = short_idleness(reactor);
    beside_neighbours(&stack, || {
        let raw = Raw::connect(stack.grpc_addr());
        let frames = raw.rest();
        let goaways = frames.iter().filter(|frame| frame.kind == GOAWAY);
        let lasts: Vec<_> = goaways
            .map(|frame| (frame.code(), &frame.payload[..4]))
            .collect();
        assert_eq!(
            lasts,
            [
                (NO_ERROR, &[0x7f, 0xff, 0xff, 0xff][..]),
                (NO_ERROR, &[0; 4])
            ]
        );
    });
}
