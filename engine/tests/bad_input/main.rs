//! Bad input on the real sockets: every fault gets the status that its transport has for it, nothing of
//! its request is stored, and the next good request is taken, on the same connection wherever the
//! protocol lets that go on. Nothing here depends on time.

#[path = "../support/mod.rs"]
mod support;

mod documents;
mod grpc;
mod http;
mod json;
mod limits;
mod partial;
mod retry;
mod rows;
mod scattered;
mod strangers;

use support::Stack;
use support::grpc::{Call, GrpcClient, message};
use support::http1::{self, HttpClient};
use support::spans;

/// gRPC's codes for what this suite provokes.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAVAILABLE: i32 = 14;
}

/// Sends a good request and asserts that it is stored and that nothing under `bad` is. Both go to one
/// shard in order, so whatever the bad request could leave behind is in ClickHouse by then.
fn assert_only_good_is_stored(
    stack: &Stack,
    bad: [u8; 16],
    fault: &str,
    send_good: impl FnOnce(&[u8]),
) {
    let good = spans::new_trace_id();
    send_good(&spans::good(good));
    let sql = format!(
        "SELECT countIf(TraceId = unhex('{}')), countIf(TraceId = unhex('{}')) FROM spanmill.otel_traces",
        uuid::Uuid::from_bytes(good).simple(),
        uuid::Uuid::from_bytes(bad).simple(),
    );
    assert_eq!(
        stack.query(&sql),
        "1\t0",
        "stored: good, bad; after {fault}"
    );
}

/// The same over a gRPC connection.
fn assert_grpc_goes_on(stack: &Stack, client: &mut GrpcClient, bad: [u8; 16], fault: &str) {
    assert_only_good_is_stored(stack, bad, fault, |body| {
        let answer = client.call(Call::new([message(0, body)]));
        assert_eq!(answer.code(), 0, "after {fault}: {answer:?}");
    });
}

/// The same over an HTTP connection.
fn assert_http_goes_on(stack: &Stack, client: &mut HttpClient, bad: [u8; 16], fault: &str) {
    assert_only_good_is_stored(stack, bad, fault, |body| {
        let answer = client.ask(&http1::post(&[], body));
        assert_eq!(answer.status, 200, "after {fault}: {answer:?}");
    });
}
