//! Peers that do not take their answers: no credit, or no reading.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use spanmill_engine::ReactorChoice;

use crate::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, Raw, SETTINGS, call_block,
    closed, export, frame, streams,
};
use crate::support::grpc::message;
use crate::support::spans::nothing;
use crate::support::{PATIENCE, Stack};
use crate::{assert_ended, beside_neighbours, on_each_reactor};

on_each_reactor! {
    windows_of_zero
    answers_that_are_not_read
    grpc_answers_that_are_not_read
}

fn short_answers(reactor: ReactorChoice) -> Arc<Stack> {
    Stack::shared_with("answers", reactor, |config| {
        config.peers.tick = Duration::from_millis(50);
        config.peers.answer = Duration::from_secs(1);
    })
}

/// Scenario: a peer whose streams have no credit makes as many calls as may be in flight.
/// Guarantee: each is taken, and reset when its answer is not taken in time; so there is room for the next,
/// which are answered as soon as there is credit.
fn windows_of_zero(reactor: ReactorChoice) {
    let stack = short_answers(reactor);
    let body = message(0, &nothing(100));
    let call = |stream| [export(stream), frame(DATA, END_STREAM, stream, &body)].concat();
    beside_neighbours(&stack, || {
        let no_window = [0, 4, 0, 0, 0, 0];
        let mut raw = Raw::with_settings(stack.grpc_addr(), &no_window);
        let calls: Vec<u8> = streams().take(256).flat_map(call).collect();
        assert!(raw.send(&calls));
        for _ in 0..256 {
            assert_eq!(raw.next_of(RST_STREAM).code(), CANCEL);
        }
        let usual = [0, 4, 0, 0, 0xff, 0xff];
        raw.send(&[frame(SETTINGS, 0, 0, &usual), call(1001)].concat());
        assert_eq!(raw.next_of(DATA).stream, 1001);
    });
}

/// A connection with little room for what comes back.
fn connect_narrow(address: std::net::SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&address.into()).expect("a connection");
    socket
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out");
    socket.into()
}

/// Sends without end and reads nothing, until the connection is gone.
fn send_until_cut(mut socket: TcpStream, requests: impl Iterator<Item = Vec<u8>>) {
    for request in requests {
        match socket.write_all(&request) {
            Ok(()) => {}
            Err(error) if closed(error.kind()) => return,
            Err(error) => panic!("the connection goes on: {error}"),
        }
    }
}

/// Scenario: requests without end whose answers are not read, on the HTTP port and the admin port.
/// Guarantee: no more is taken once answers have no way out, and then the connection is cut.
fn answers_that_are_not_read(reactor: ReactorChoice) {
    let stack = short_answers(reactor);
    beside_neighbours(&stack, || {
        for port in [stack.http_addr(), stack.admin_addr()] {
            let request = b"GET /metrics HTTP/1.1\r\nhost: engine\r\n\r\n".repeat(100);
            send_until_cut(connect_narrow(port), std::iter::repeat(request));
        }
    });
    assert_ended(&stack, "http", &["stuck"]);
}

/// Scenario: the same over gRPC, with calls of a method that does not exist, whose name comes back.
/// Guarantee: the same, unless h2 is first: the calls that wait for their answers to be read are as many as
/// may be in flight, so more are refused, of which it takes 1,024.
fn grpc_answers_that_are_not_read(reactor: ReactorChoice) {
    let stack = short_answers(reactor);
    let block = call_block(&format!("/{}", "x".repeat(1000)));
    beside_neighbours(&stack, || {
        let mut socket = connect_narrow(stack.grpc_addr());
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        socket.write_all(&begin).expect("bytes are taken");
        let flags = END_HEADERS | END_STREAM;
        let calls = streams().map(|stream| frame(HEADERS, flags, stream, &block));
        send_until_cut(socket, calls);
    });
    assert_ended(&stack, "grpc", &["stuck", "flood"]);
}
