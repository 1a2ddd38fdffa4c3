//! Requests that are too large, on either transport: refused early, and without harm to what follows.

use std::sync::Arc;

use bytes::Bytes;
use spanmill_engine::ReactorChoice;

use crate::support::grpc::{Answer, Call, GrpcClient, message, prefixed};
use crate::support::http1::{HttpClient, chunk, post, post_chunked, request};
use crate::support::packed::{PACKINGS, gzip};
use crate::support::spans::{exactly, large, new_trace_id, nothing};
use crate::support::{Stack, await_true, metric, metrics};
use crate::{assert_grpc_goes_on, assert_http_goes_on, code, on_each_reactor};

on_each_reactor! {
    grpc_by_its_prefix
    grpc_exact_limit
    grpc_after_decompression
    grpc_connections_outlive_many_refusals
    http_by_its_length
    http_that_asks_first
    http_that_is_told_to_close
    http_by_its_chunks
    http_exact_limit
    http_after_decompression
    http_connections_outlive_many_refusals
}

/// Bytes of a request at most, in these tests.
const LIMIT: usize = 64 << 10;

fn small_limit(reactor: ReactorChoice) -> Arc<Stack> {
    Stack::shared_with("64 KiB", reactor, |config| config.request_bytes_max = LIMIT)
}

/// RESOURCE_EXHAUSTED without RetryInfo: the same batch must not come again.
fn assert_too_large(answer: &Answer, fault: &str) {
    assert_eq!(
        answer.code(),
        code::RESOURCE_EXHAUSTED,
        "{fault}: {answer:?}"
    );
    assert!(answer.details().is_none(), "{fault}: {answer:?}");
    assert!(
        answer.message().contains(&LIMIT.to_string()),
        "{fault}: {answer:?}"
    );
}

/// Nothing is held for requests that were answered. Other tests of the same engine hold some for a moment.
fn assert_nothing_pending(stack: &Stack) {
    await_true("nothing is pending", || {
        let metrics = metrics(stack.admin_addr());
        metric(&metrics, "spanmill_pending_bytes{shard=\"0\"}") == Some(0.0)
    });
}

/// Scenario: the length before a message is past the limit, up to the largest there is, and the message is
/// never sent.
/// Guarantee: RESOURCE_EXHAUSTED at once, and the connection goes on.
fn grpc_by_its_prefix(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    for length in [LIMIT as u32 + 1, 1 << 30, u32::MAX] {
        let mut call = Call::new([prefixed(0, length, b"the first bytes")]);
        call.end = false;
        assert_too_large(&client.call(call), "a length past the limit");
        assert_grpc_goes_on(
            &stack,
            &mut client,
            new_trace_id(),
            "a length past the limit",
        );
    }
}

/// Scenario: a message of exactly the limit, and one of a byte more.
/// Guarantee: the first is stored, the second refused.
fn grpc_exact_limit(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let past = client.call(Call::new([message(0, &exactly(id, LIMIT + 1))]));
    assert_too_large(&past, "a byte past the limit");
    assert_grpc_goes_on(&stack, &mut client, id, "a byte past the limit");
    let fits = client.call(Call::new([message(0, &exactly(id, LIMIT))]));
    assert_eq!(fits.code(), 0, "{fits:?}");
}

/// Scenario: bodies of each encoding that are small and become too large: by a byte, and a thousandfold, with
/// an honest size, with none, and with a size that lies.
/// Guarantee: RESOURCE_EXHAUSTED, or INVALID_ARGUMENT for the lie; nothing stored. One of just the limit is
/// taken.
fn grpc_after_decompression(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let call = |name, body: &[u8]| Call::new([message(1, body)]).header("grpc-encoding", name);
    for (name, pack) in PACKINGS {
        let fits = client.call(call(name, &pack(&exactly(new_trace_id(), LIMIT))));
        assert_eq!(fits.code(), 0, "{name}: {fits:?}");
        let bomb = pack(&large(id, 10 << 20));
        assert!(bomb.len() < LIMIT);
        for body in [pack(&exactly(id, LIMIT + 1)), bomb] {
            assert_too_large(&client.call(call(name, &body)), name);
            assert_grpc_goes_on(&stack, &mut client, id, name);
        }
    }
    let mut bomb = gzip(&large(id, 10 << 20));
    // gzip ends with the size that its content claims to have.
    let size = bomb.len() - 4;
    bomb[size..].copy_from_slice(&100u32.to_le_bytes());
    let lied = client.call(call("gzip", &bomb));
    let refused = [code::RESOURCE_EXHAUSTED, code::INVALID_ARGUMENT];
    assert!(refused.contains(&lied.code()), "{lied:?}");
    assert!(lied.details().is_none());
    assert_grpc_goes_on(&stack, &mut client, id, "gzip that lies about its size");
    assert_nothing_pending(&stack);
}

/// The story: a server that answers before it has read the whole request may leave the rest unread. If
/// it resets such streams, what is still on the way counts as a flood once the stream is forgotten; if
/// it keeps the bytes, the connection's window runs dry.
///
/// Scenario: a thousand requests of 1 MiB in frames of 16 KiB, ten in flight at a time, each refused by its
/// prefix while the rest is being sent, on one connection; then a few much larger ones.
/// Guarantee: each is answered, and good ones are stored in between and afterwards.
fn grpc_connections_outlive_many_refusals(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let id = new_trace_id();
    let body = message(0, &large(id, 1 << 20));
    let frames: Vec<Bytes> = body
        .chunks(16 << 10)
        .map(|frame| body.slice_ref(frame))
        .collect();
    for round in 0..100 {
        for answer in client.calls((0..10).map(|_| Call::new(frames.clone()))) {
            assert_too_large(&answer, "1 MiB");
        }
        if round % 10 == 9 {
            assert_grpc_goes_on(&stack, &mut client, id, "many refusals");
        }
    }
    // Too large to be passed over: their streams are reset with bytes on the way.
    for _ in 0..8 {
        let answer = client.call(Call::new([message(0, &nothing(12 << 20))]));
        assert_too_large(&answer, "12 MiB");
    }
    // A whole window's worth: were any credit lost, this would not be sent to its end.
    for _ in 0..(16 << 20) / LIMIT {
        let fits = client.call(Call::new([message(0, &nothing(LIMIT))]));
        assert_eq!(fits.code(), 0, "{fits:?}");
    }
    assert_nothing_pending(&stack);
}

/// Scenario: a length past the limit, whose body is sent only after the answer.
/// Guarantee: 413 before the body; the body is passed over and the connection goes on.
fn http_by_its_length(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let body = large(id, LIMIT);
    let whole = post(&[], &body);
    let head = whole.len() - body.len();
    client.send(&whole[..head]);
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{answer:?}");
    let status = answer.rpc_status();
    assert_eq!(status.code, code::RESOURCE_EXHAUSTED);
    assert!(status.details.is_empty() && answer.header("retry-after").is_none());
    assert_eq!(
        answer.header("connection"),
        None,
        "the body is small enough to be passed over"
    );
    client.send(&whole[head..]);
    assert_http_goes_on(&stack, &mut client, id, "a length past the limit");
}

/// Scenario: a sender asks with `Expect: 100-continue` whether to send a body past the limit.
/// Guarantee: 413 without "100 Continue" before it, and since nobody knows whether the body still comes,
/// the connection ends, which the answer says.
fn http_that_asks_first(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let length = (LIMIT + 1).to_string();
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-length", &*length),
        ("expect", "100-continue"),
    ];
    let answer = client.ask(&request("POST /v1/traces", &headers, b""));
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    client.assert_closed();
}

/// Scenario: a body much too large to be passed over, of which 3 MiB are on the way already.
/// Guarantee: the sender is told that the connection ends, and reads that answer rather than a reset.
fn http_that_is_told_to_close(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let length = (1u64 << 40).to_string();
    client.send(&post(&[("content-length", &length)], &vec![0; 3 << 20]));
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.rpc_status().code, code::RESOURCE_EXHAUSTED);
    assert_eq!(answer.header("connection"), Some("close"));
    client.assert_closed();
}

/// Scenario: chunks that grow past the limit, before the last of them is sent.
/// Guarantee: 413 while the sender still sends; the rest is passed over and the connection goes on.
fn http_by_its_chunks(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let body = large(id, 2 * LIMIT);
    let whole = post_chunked(&[], &[&body]);
    client.send(&whole[..whole.len() - 100]);
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.rpc_status().code, code::RESOURCE_EXHAUSTED);
    client.send(&whole[whole.len() - 100..]);
    assert_http_goes_on(&stack, &mut client, id, "chunks past the limit");

    // Chunks without end: passed over for a while, then the connection ends.
    let part = chunk(&vec![0; 1 << 20]);
    client.send(&whole[..whole.len() - b"0\r\n\r\n".len()]);
    for _ in 0..6 {
        client.send(&part);
    }
    assert_eq!(client.answer().status, 413);
    client.assert_closed();
}

/// Scenario: a body of exactly the limit and one of a byte more, each with a length and chunked.
/// Guarantee: the first is stored, the second refused.
fn http_exact_limit(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let (fits, past) = (exactly(new_trace_id(), LIMIT), exactly(id, LIMIT + 1));
    for (body, status) in [(fits, 200), (past, 413)] {
        let answer = client.ask(&post(&[], &body));
        assert_eq!(answer.status, status, "{answer:?}");
        let answer = client.ask(&post_chunked(&[], &[&body[..1000], &body[1000..]]));
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_http_goes_on(&stack, &mut client, id, "a byte past the limit");
}

/// Scenario: bodies of each encoding that are small and become too large.
/// Guarantee: 413, nothing stored, the connection goes on. One of just the limit is taken.
fn http_after_decompression(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    for (name, pack) in PACKINGS {
        let announced = [("content-encoding", name)];
        let fits = pack(&exactly(new_trace_id(), LIMIT));
        assert_eq!(client.ask(&post(&announced, &fits)).status, 200, "{name}");
        for body in [exactly(id, LIMIT + 1), large(id, 10 << 20)] {
            let answer = client.ask(&post(&announced, &pack(&body)));
            assert_eq!(answer.status, 413, "{name}: {answer:?}");
            assert_eq!(answer.rpc_status().code, code::RESOURCE_EXHAUSTED);
            assert_http_goes_on(&stack, &mut client, id, name);
        }
    }
    assert_nothing_pending(&stack);
}

/// Scenario: many requests of 1 MiB that are refused by their length while they are sent, on one connection.
/// Guarantee: each is answered, and a good one afterwards is stored.
fn http_connections_outlive_many_refusals(reactor: ReactorChoice) {
    let stack = small_limit(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let request = post(&[], &large(id, 1 << 20));
    for _ in 0..200 {
        assert_eq!(client.ask(&request).status, 413);
    }
    assert_http_goes_on(&stack, &mut client, id, "many refusals");
    assert_nothing_pending(&stack);
}
