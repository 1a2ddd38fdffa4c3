//! Bad calls over OTLP/gRPC.

use bytes::Bytes;
use spanmill_engine::ReactorChoice;

use crate::support::Stack;
use crate::support::grpc::{Call, GrpcClient, message, prefixed};
use crate::support::packed::{PACKINGS, gzip, zlib};
use crate::support::spans::{bad_bodies, good, new_trace_id};
use crate::{assert_grpc_goes_on, code, on_each_reactor};

on_each_reactor! {
    faults_in_the_protobuf
    lying_lengths
    more_or_less_than_one_message
    wrong_compression
    unknown_methods
    no_grpc_at_all
    too_many_headers
    empty_requests_succeed
}

/// Scenario: every fault that protobuf knows, plain and as gzip, one after the other on one
/// connection.
/// Guarantee: INVALID_ARGUMENT with a text and without a retry hint; the good span beside the fault is not
/// stored either.
fn faults_in_the_protobuf(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    for (index, bad) in bad_bodies().into_iter().enumerate() {
        let call = if index % 2 == 0 {
            Call::new([message(0, &bad.body)])
        } else {
            Call::new([message(1, &gzip(&bad.body))]).header("grpc-encoding", "gzip")
        };
        let answer = client.call(call);
        let fault = &bad.fault;
        assert_eq!(answer.code(), code::INVALID_ARGUMENT, "{fault}: {answer:?}");
        assert!(!answer.message().is_empty(), "{fault}");
        assert!(answer.details().is_none(), "{fault}: {answer:?}");
        assert_grpc_goes_on(&stack, &mut client, bad.trace_id, fault);
    }
}

/// Scenario: the length before the message is longer than the message, shorter, or cut short itself.
/// Guarantee: INVALID_ARGUMENT, nothing stored, the connection goes on.
fn lying_lengths(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let body = good(id);
    let length = body.len() as u32;
    let whole = message(0, &body);
    let cases: [(&str, Vec<Bytes>); 6] = [
        (
            "a length one too long",
            vec![prefixed(0, length + 1, &body)],
        ),
        ("a length much too long", vec![prefixed(0, 1 << 20, &body)]),
        (
            "a length one too short",
            vec![prefixed(0, length - 1, &body)],
        ),
        (
            "a length of 0 before a message",
            vec![prefixed(0, 0, &body)],
        ),
        ("a prefix cut short", vec![whole.slice(..4)]),
        (
            "a message cut short",
            vec![whole.slice(..9), whole.slice(9..40)],
        ),
    ];
    for (fault, data) in cases {
        let answer = client.call(Call::new(data));
        assert_eq!(answer.code(), code::INVALID_ARGUMENT, "{fault}: {answer:?}");
        assert_grpc_goes_on(&stack, &mut client, id, fault);
    }
}

/// Scenario: a unary call with two messages, with bytes after its message, and with no DATA at all.
/// Guarantee: INVALID_ARGUMENT, and of two messages not even the first is stored.
fn more_or_less_than_one_message(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let whole = message(0, &good(id));
    let cases: [(&str, Vec<Bytes>); 5] = [
        ("two messages", vec![whole.clone(), whole.clone()]),
        (
            "two messages in one frame",
            vec![[&whole[..], &whole].concat().into()],
        ),
        (
            "a byte after the message",
            vec![whole.clone(), Bytes::from_static(&[0])],
        ),
        ("no DATA frame", vec![]),
        ("an empty DATA frame", vec![Bytes::new()]),
    ];
    for (fault, data) in cases {
        let answer = client.call(Call::new(data));
        assert_eq!(answer.code(), code::INVALID_ARGUMENT, "{fault}: {answer:?}");
        assert_grpc_goes_on(&stack, &mut client, id, fault);
    }
}

/// Scenario: bodies of each encoding that are damaged, cut short, followed by rubbish, empty, plain, or not
/// announced; an encoding that nobody knows; a flag that gRPC does not have.
/// Guarantee: INVALID_ARGUMENT, or UNIMPLEMENTED with the encodings that are taken; nothing stored.
fn wrong_compression(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let body = good(id);
    for (name, pack) in PACKINGS {
        let packed = pack(&body);
        let cut = &packed[..packed.len() - 1];
        let followed = [&packed[..], b"rubbish"].concat();
        let mut cases: Vec<(&str, u8, &[u8], Option<&'static str>)> = vec![
            ("cut short", 1, cut, Some(name)),
            ("no bytes", 1, b"", Some(name)),
            ("followed by rubbish", 1, &followed, Some(name)),
            ("without grpc-encoding", 1, &packed, None),
            ("called identity", 1, &packed, Some("identity")),
            ("flag 2", 2, &packed, Some(name)),
        ];
        // What the others begin with may be the beginning of a message with unknown fields.
        if name == "gzip" {
            cases.push(("without the flag", 0, &packed, Some(name)));
        }
        let mut damaged = packed.clone();
        // All but bare deflate have a checksum of the content in the bytes at the end, and a mark at the
        // beginning.
        damaged[packed.len() - if name == "gzip" { 6 } else { 1 }] ^= 1;
        if name != "deflate" || pack(b"")[0] == zlib(b"")[0] {
            cases.push(("damaged", 1, &damaged, Some(name)));
        }
        if name != "deflate" {
            cases.push(("plain protobuf", 1, &body, Some(name)));
        }
        for (fault, flag, data, encoding) in cases {
            let fault = format!("{name}: {fault}");
            let mut call = Call::new([message(flag, data)]);
            if let Some(encoding) = encoding {
                call = call.header("grpc-encoding", encoding);
            }
            let answer = client.call(call);
            assert_eq!(answer.code(), code::INVALID_ARGUMENT, "{fault}: {answer:?}");
        }
        assert_grpc_goes_on(&stack, &mut client, id, name);
    }
    let packed = gzip(&body);
    for encoding in ["snappy", "gzip, identity", ""] {
        let answer =
            client.call(Call::new([message(1, &packed)]).header("grpc-encoding", encoding));
        assert_eq!(answer.code(), code::UNIMPLEMENTED, "{encoding}: {answer:?}");
        assert_eq!(
            answer.headers["grpc-accept-encoding"],
            "identity,gzip,zstd,deflate"
        );
        assert_grpc_goes_on(&stack, &mut client, id, encoding);
    }
}

/// Scenario: calls of methods, services and paths that there are not.
/// Guarantee: UNIMPLEMENTED, with a text that names the path and fits in a header whatever its length.
fn unknown_methods(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let long: &'static str = Box::leak(format!("/{}", "%25x".repeat(3000)).into_boxed_str());
    let paths = [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/opentelemetry.proto.collector.trace.v1.TraceService/export",
        "/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export",
        "/grpc.health.v1.Health/Check",
        "/",
        long,
    ];
    for path in paths {
        let mut call = Call::new([message(0, &good(id))]);
        call.path = path;
        let answer = client.call(call);
        assert_eq!(answer.code(), code::UNIMPLEMENTED, "{path}: {answer:?}");
        assert!(answer.outcome["grpc-message"].len() < 4 << 10, "{path}");
        assert!(answer.message().starts_with(&path[..path.len().min(1000)]));
        assert_grpc_goes_on(&stack, &mut client, id, path);
    }
}

/// Scenario: an HTTP/2 request that is no gRPC by its content type.
/// Guarantee: HTTP 415 as the gRPC specification wants it, nothing stored, the connection goes on.
fn no_grpc_at_all(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    for kind in [
        "application/x-protobuf",
        "application/grpc-web",
        "application/grpc+json",
        "",
    ] {
        let call = Call::new([message(0, &good(id))]).header("content-type", kind);
        let answer = client.call(call);
        assert_eq!(answer.http, 415, "{kind}: {answer:?}");
        assert_grpc_goes_on(&stack, &mut client, id, kind);
    }
}

/// Scenario: headers of more than 16 KiB.
/// Guarantee: HTTP 431, nothing stored, the connection goes on.
fn too_many_headers(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let long: &'static str = Box::leak("x".repeat(17 << 10).into_boxed_str());
    let answer = client.call(Call::new([message(0, &good(id))]).header("x-long", long));
    assert_eq!(answer.http, 431, "{answer:?}");
    assert_grpc_goes_on(&stack, &mut client, id, "headers of 17 KiB");
}

/// Scenario: a request without a resource, one whose resources hold no spans, and gzip of nothing.
/// Guarantee: success with an empty answer, since nothing to store is not a fault.
fn empty_requests_succeed(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let packed = Call::new([message(1, &gzip(b""))]).header("grpc-encoding", "gzip");
    let calls = [
        Call::new([message(0, b"")]),
        Call::new([message(0, &[0x0a, 0x00])]),
        packed,
    ];
    for call in calls {
        let answer = client.call(call);
        assert_eq!((answer.http, answer.code()), (200, 0), "{answer:?}");
        assert_eq!(answer.data, [0; 5], "one empty message");
    }
}
