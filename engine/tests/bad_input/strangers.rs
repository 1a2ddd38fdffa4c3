//! Senders of another protocol than the port's: told so where they can read it, and let go.

use spanmill_engine::ReactorChoice;

use crate::support::Stack;
use crate::support::grpc::GrpcClient;
use crate::support::http1::{HttpClient, post};
use crate::support::spans::{good, new_trace_id};
use crate::{assert_grpc_goes_on, assert_http_goes_on, on_each_reactor};

on_each_reactor! {
    http1_on_the_grpc_port
    garbage_on_the_grpc_port
    garbage_after_the_preface
    strangers_on_the_http_port
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The beginning of a TLS connection: a record that holds a ClientHello of 300 bytes.
fn client_hello() -> Vec<u8> {
    let body = [&[1, 0, 1, 40, 3, 3][..], &[0xa5; 294]].concat();
    [&[22, 3, 1, 1, 44][..], &body].concat()
}

/// Scenario: OTLP/HTTP is sent to the gRPC port, with a large body behind it.
/// Guarantee: a whole HTTP/1.1 answer, 505, whose text names the port to use, and an end without a reset
/// that could take the answer away.
fn http1_on_the_grpc_port(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let id = new_trace_id();
    for body in [good(id), vec![0; 2 << 20]] {
        let mut client = HttpClient::connect(stack.grpc_addr());
        let answer = client.ask(&post(&[], &body));
        assert_eq!(answer.status, 505, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        let text = String::from_utf8(answer.body).expect("text");
        assert!(
            text.contains("gRPC") && text.ends_with("OTLP/HTTP port"),
            "{text:?}"
        );
        client.assert_closed();
        let mut other = GrpcClient::connect(stack.grpc_addr());
        assert_grpc_goes_on(&stack, &mut other, id, "HTTP/1.1 on the gRPC port");
    }
}

/// Scenario: TLS, bytes of nothing, a preface that goes wrong half-way, a sender that leaves in the middle of
/// it.
/// Guarantee: the connection ends without a reset, and others are served.
fn garbage_on_the_grpc_port(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let cases = [
        ("TLS", client_hello()),
        ("zeros", vec![0; 1000]),
        (
            "half a preface, then garbage",
            [&PREFACE[..12], &[0xff; 1000]].concat(),
        ),
        ("half a preface", PREFACE[..12].to_vec()),
        ("nothing", vec![]),
    ];
    for (fault, bytes) in cases {
        let mut client = HttpClient::connect(stack.grpc_addr());
        client.send(&bytes);
        client.end();
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 505 "),
            "{fault}: {rest}"
        );
        let mut other = GrpcClient::connect(stack.grpc_addr());
        assert_grpc_goes_on(&stack, &mut other, new_trace_id(), fault);
    }
}

/// Scenario: HTTP/2 begins as it should and goes on with frames that break its rules.
/// Guarantee: the connection ends without the sender ending it, and others are served.
fn garbage_after_the_preface(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // Length, type, flags, stream; then the payload.
    let cases: [(&str, Vec<u8>); 5] = [
        ("a frame of 16 MiB", vec![0xff; 64]),
        (
            "DATA before its HEADERS",
            [settings, &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0]].concat(),
        ),
        (
            "HEADERS on stream 0",
            [settings, &[0, 0, 1, 1, 4, 0, 0, 0, 0, 0x82]].concat(),
        ),
        (
            "HEADERS that are no HPACK",
            [settings, &[0, 0, 2, 1, 4, 0, 0, 0, 1, 0xff, 0xff]].concat(),
        ),
        (
            "SETTINGS of 5 bytes",
            vec![0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
        ),
    ];
    for (fault, frames) in cases {
        let mut client = HttpClient::connect(stack.grpc_addr());
        client.send(&[PREFACE, &frames].concat());
        // SETTINGS and GOAWAY, then the end.
        assert!(!client.rest().is_empty(), "{fault}");
        let mut other = GrpcClient::connect(stack.grpc_addr());
        assert_grpc_goes_on(&stack, &mut other, new_trace_id(), fault);
    }
}

/// Scenario: HTTP/2 and TLS are sent to the HTTP port.
/// Guarantee: the connection ends without the sender ending it and without a reset; others are served.
fn strangers_on_the_http_port(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let cases = [
        ("HTTP/2", [PREFACE, settings].concat()),
        ("TLS", client_hello()),
    ];
    for (fault, bytes) in cases {
        let mut client = HttpClient::connect(stack.http_addr());
        client.send(&bytes);
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400 "),
            "{fault}: {rest}"
        );
        let mut other = HttpClient::connect(stack.http_addr());
        assert_http_goes_on(&stack, &mut other, new_trace_id(), fault);
    }
}
