//! Bad requests over OTLP/HTTP.

use spanmill_engine::ReactorChoice;

use crate::support::Stack;
use crate::support::http1::{Answer, HttpClient, post, post_chunked, request};
use crate::support::packed::{PACKINGS, gzip};
use crate::support::spans::{bad_bodies, good, new_trace_id};
use crate::{assert_http_goes_on, assert_only_good_is_stored, code, on_each_reactor};

on_each_reactor! {
    faults_in_the_protobuf
    wrong_compression
    wrong_path_method_or_type
    bodies_cut_short
    heads_that_cannot_be_read
    empty_requests_succeed
}

fn assert_refused(answer: &Answer, status: u16, fault: &str) {
    assert_eq!(answer.status, status, "{fault}: {answer:?}");
    let body = answer.rpc_status();
    assert_ne!(body.code, 0, "{fault}");
    assert!(!body.message.is_empty(), "{fault}");
    assert!(body.details.is_empty() && answer.header("retry-after").is_none());
}

/// Scenario: every fault that protobuf knows, plain, as gzip and chunked, one after the other on
/// one connection.
/// Guarantee: 400 with a `google.rpc.Status` of INVALID_ARGUMENT and without a retry hint; the good span
/// beside the fault is not stored either.
fn faults_in_the_protobuf(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    for (index, bad) in bad_bodies().into_iter().enumerate() {
        let request = match index % 3 {
            0 => post(&[], &bad.body),
            1 => post(&[("content-encoding", "gzip")], &gzip(&bad.body)),
            _ => post_chunked(&[], &[&bad.body[..1], &bad.body[1..]]),
        };
        let answer = client.ask(&request);
        assert_refused(&answer, 400, &bad.fault);
        assert_eq!(answer.rpc_status().code, code::INVALID_ARGUMENT);
        assert_http_goes_on(&stack, &mut client, bad.trace_id, &bad.fault);
    }
}

/// Scenario: bodies of each encoding that are cut short, followed by rubbish, empty, or not announced;
/// encodings that nobody knows.
/// Guarantee: 400, or 415 with the encodings that are taken; nothing stored.
fn wrong_compression(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let body = good(id);
    for (name, pack) in PACKINGS {
        let packed = pack(&body);
        // Of any id: the packed bytes of some are a message of unknown fields.
        let unannounced = pack(&good([7; 16]));
        let announced = [("content-encoding", name)];
        let followed = [&packed[..], b"rubbish"].concat();
        let cases = [
            ("cut short", post(&announced, &packed[..packed.len() - 1])),
            ("followed by rubbish", post(&announced, &followed)),
            ("no bytes", post(&announced, b"")),
            ("not announced", post(&[], &unannounced)),
        ];
        for (fault, request) in cases {
            let fault = format!("{name}: {fault}");
            let answer = client.ask(&request);
            assert_refused(&answer, 400, &fault);
        }
        assert_http_goes_on(&stack, &mut client, id, name);
    }
    let packed = gzip(&body);
    for encoding in ["br", "gzip, gzip", ""] {
        let answer = client.ask(&post(&[("content-encoding", encoding)], &packed));
        assert_refused(&answer, 415, encoding);
        assert_eq!(
            answer.header("accept-encoding"),
            Some("identity,gzip,zstd,deflate")
        );
        assert_http_goes_on(&stack, &mut client, id, encoding);
    }
}

/// Scenario: requests that are good but for their path, method or content type.
/// Guarantee: 404, 405 with the method that is taken, 415; nothing stored.
fn wrong_path_method_or_type(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let body = good(id);
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-length", &length),
    ];
    for line in [
        "POST /v1/trace",
        "POST /v1/traces/",
        "POST /",
        "GET /v2/traces",
    ] {
        assert_refused(&client.ask(&request(line, &headers, &body)), 404, line);
        assert_http_goes_on(&stack, &mut client, id, line);
    }
    for line in [
        "GET /v1/traces",
        "PUT /v1/traces",
        "DELETE /v1/traces",
        "BREW /v1/traces",
    ] {
        let answer = client.ask(&request(line, &headers, &body));
        assert_refused(&answer, 405, line);
        assert_eq!(answer.header("allow"), Some("POST"));
        assert_http_goes_on(&stack, &mut client, id, line);
    }
    for kind in [
        "text/plain",
        "application/x-protobuf-2",
        "application/grpc",
        "",
    ] {
        assert_refused(
            &client.ask(&post(&[("content-type", kind)], &body)),
            415,
            kind,
        );
        assert_http_goes_on(&stack, &mut client, id, kind);
    }
    let untyped = request("POST /v1/traces", &[("content-length", &*length)], &body);
    assert_refused(&client.ask(&untyped), 415, "no content type");
    assert_http_goes_on(&stack, &mut client, id, "no content type");
}

/// Scenario: bodies that end before their length, chunks without an end, chunk sizes that are none. The
/// sender ends its side or the framing is lost, so the connection cannot go on.
/// Guarantee: 400, or just an end; nothing stored; others are served.
fn bodies_cut_short(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let id = new_trace_id();
    let body = good(id);
    let length = (body.len() + 1).to_string();
    let chunked = post_chunked(&[], &[&body]);
    let chunk_less = &chunked[..chunked.len() - "0\r\n\r\n".len()];
    let broken_size = [chunk_less, b"x\r\n"].concat();
    let huge_size = [chunk_less, b"fffffffffffffffff\r\n"].concat();
    let cases = [
        (
            "a body shorter than its length",
            post(&[("content-length", &length)], &body),
        ),
        ("chunks without an end", chunk_less.to_vec()),
        ("a chunk size that is no number", broken_size),
        ("a chunk size past 64 bits", huge_size),
    ];
    for (fault, request) in cases {
        let mut client = HttpClient::connect(stack.http_addr());
        client.send(&request);
        client.end();
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400 "),
            "{fault}: {rest}"
        );
        let mut other = HttpClient::connect(stack.http_addr());
        assert_http_goes_on(&stack, &mut other, id, fault);
    }
}

/// Scenario: heads larger than 16 KiB, with more headers than anyone needs, with two lengths, with a length
/// that is none, and heads that are no HTTP.
/// Guarantee: 431 or 400, then an end without a reset, though the body lies there unread; nothing stored;
/// others are served.
fn heads_that_cannot_be_read(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let id = new_trace_id();
    let body = good(id);
    let long = "x".repeat(17 << 10);
    let many = vec![("x-header", "x"); 200];
    let smuggled = [("content-length", "1"), ("transfer-encoding", "chunked")];
    let two = [("content-length", "5"), ("content-length", "6")];
    let cases = [
        ("a head of 17 KiB", 431, post(&[("x-long", &long)], &body)),
        ("200 headers", 431, post(&many, &body)),
        (
            "a length that is no number",
            400,
            post(&[("content-length", "1x")], &body),
        ),
        (
            "a negative length",
            400,
            post(&[("content-length", "-1")], &body),
        ),
        ("two lengths", 400, request("POST /v1/traces", &two, &body)),
        (
            "no HTTP",
            400,
            [b"\0\x01\x02 garbage\r\n\r\n", &body[..]].concat(),
        ),
        ("another protocol", 400, b"EHLO engine\r\n\r\n".to_vec()),
    ];
    for (fault, status, request) in cases {
        let mut client = HttpClient::connect(stack.http_addr());
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{fault}: {answer:?}");
        client.assert_closed();
        let mut other = HttpClient::connect(stack.http_addr());
        assert_http_goes_on(&stack, &mut other, id, fault);
    }
    // Both framings at once: chunked must win and the connection end, or a second request could be
    // smuggled in the body.
    let mut client = HttpClient::connect(stack.http_addr());
    let head = request("POST /v1/traces", &smuggled, b"");
    client.send(&[&head[..], b"0\r\n\r\n", &post(&[], &body)].concat());
    client.end();
    let rest = client.rest();
    let statuses = rest.matches("HTTP/1.1 ").count();
    let mut other = HttpClient::connect(stack.http_addr());
    assert!(statuses <= 1, "{rest}");
    assert_only_good_is_stored(&stack, id, "a smuggled request", |good| {
        assert_eq!(other.ask(&post(&[], good)).status, 200);
    });
}

/// Scenario: an empty body, with a length of 0, chunked, and as gzip of nothing.
/// Guarantee: success with an empty answer, since nothing to store is not a fault.
fn empty_requests_succeed(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let gzipped = [("content-encoding", "gzip")];
    for request in [
        post(&[], b""),
        post_chunked(&[], &[]),
        post(&gzipped, &gzip(b"")),
        post(
            &[("content-type", "Application/X-Protobuf; charset=utf-8")],
            b"",
        ),
    ] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.is_empty());
        assert_eq!(
            answer.header("content-type"),
            Some("application/x-protobuf")
        );
    }
}
