//! One connection with many requests in flight, whose bodies are walked by all shards.

use bytes::Bytes;
use spanmill_engine::ReactorChoice;

use crate::support::grpc::{Call, GrpcClient, message};
use crate::support::http1::{HttpClient, post};
use crate::support::packed::PACKINGS;
use crate::support::spans::{bad_bodies, large, new_trace_id, span};
use crate::support::{Stack, await_true};
use crate::{always_handing_over, decoded, of_each_shard, on_each_reactor};

on_each_reactor! {
    one_connection_keeps_all_shards_busy
    packed_bodies_are_handed_over
    refusals_come_back
    small_bodies_stay
}

/// gRPC's code for a body that will never be taken.
const INVALID_ARGUMENT: i32 = 3;
/// gRPC's code for a body that is too large.
const RESOURCE_EXHAUSTED: i32 = 8;
const BYTES: usize = 200 << 10;

fn handing_over(reactor: ReactorChoice, shards: usize) -> Stack {
    Stack::start_with(|config| {
        config.reactor = reactor;
        always_handing_over(config, shards);
    })
}

/// Each of these spans is stored once, and there are no others.
fn assert_stored(stack: &Stack, ids: &[[u8; 16]]) {
    let counts = stack.query("SELECT count(), uniqExact(TraceId) FROM spanmill.otel_traces");
    assert_eq!(counts, format!("{0}\t{0}", ids.len()));
    let list: Vec<_> = ids
        .iter()
        .map(|id| format!("unhex('{}')", hex(id)))
        .collect();
    let known = format!(
        "SELECT uniqExact(TraceId) FROM spanmill.otel_traces WHERE TraceId IN ({})",
        list.join(", ")
    );
    assert_eq!(stack.query(&known), ids.len().to_string());
}

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nothing is held any more for what was answered.
fn assert_settled(stack: &Stack, shards: usize) {
    await_true("nothing is pending", || {
        of_each_shard(stack, shards, "pending_bytes", "")
            .iter()
            .sum::<u64>()
            == 0
    });
}

/// Scenario: one connection with many large requests in flight, to two shards and to four.
/// Guarantee: every other shard walks some of them, each is acknowledged, and each is stored once.
fn one_connection_keeps_all_shards_busy(reactor: ReactorChoice) {
    for shards in [2, 4] {
        let stack = handing_over(reactor, shards);
        let mut client = GrpcClient::connect(stack.grpc_addr());
        let ids: Vec<_> = (0..32).map(|_| new_trace_id()).collect();
        let calls = ids
            .iter()
            .map(|id| Call::new([message(0, &large(*id, BYTES))]));
        for answer in client.calls(calls) {
            assert_eq!(answer.code(), 0, "{answer:?}");
        }
        let decoded = decoded(&stack, shards);
        let handed = of_each_shard(&stack, shards, "bodies_handed_over_total", "");
        let received = of_each_shard(&stack, shards, "requests_total", ",transport=\"grpc\"");
        let own = received
            .iter()
            .position(|count| *count > 0)
            .expect("requests");
        assert_eq!(received[own], 32, "{received:?}");
        assert_eq!(handed[own], handed.iter().sum::<u64>(), "{handed:?}");
        let elsewhere = (0..shards).filter(|shard| *shard != own);
        let elsewhere: Vec<u64> = elsewhere.map(|shard| decoded[shard]).collect();
        assert!(elsewhere.iter().all(|rows| *rows > 0), "{decoded:?}");
        assert_eq!(elsewhere.iter().sum::<u64>(), handed[own]);
        assert_eq!(decoded.iter().sum::<u64>(), 32, "{decoded:?}");
        assert_stored(&stack, &ids);
        assert_settled(&stack, shards);
    }
}

/// Scenario: bodies in every encoding are handed over, on both transports.
/// Guarantee: each is stored once; no memory stays reserved, in either shard, whether the body became
/// larger on its way or smaller.
fn packed_bodies_are_handed_over(reactor: ReactorChoice) {
    let shards = 2;
    let stack = handing_over(reactor, shards);
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    let mut ids = Vec::new();
    let mut body = |bytes| {
        ids.push(new_trace_id());
        large(ids[ids.len() - 1], bytes)
    };
    for (name, pack) in PACKINGS {
        for bytes in [1, BYTES] {
            let call = Call::new([message(1, &pack(&body(bytes)))]).header("grpc-encoding", name);
            let answer = grpc.call(call);
            assert_eq!(answer.code(), 0, "{name}: {answer:?}");
            let packed = pack(&body(bytes));
            let answer = http.ask(&post(&[("content-encoding", name)], &packed));
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
    }
    let id = new_trace_id();
    ids.push(id);
    let now = span(id).start_time_unix_nano;
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"0707070707070707",
        "name":"a span","startTimeUnixNano":"{now}","endTimeUnixNano":"{now}"}}]}}]}}]}}"#,
        hex(&id)
    );
    let answer = http.ask(&post(
        &[("content-type", "application/json")],
        json.as_bytes(),
    ));
    assert_eq!(answer.status, 200, "{answer:?}");
    let handed = of_each_shard(&stack, shards, "bodies_handed_over_total", "");
    assert_eq!(
        handed.iter().sum::<u64>(),
        ids.len() as u64,
        "one at a time always has a taker"
    );
    assert_stored(&stack, &ids);
    assert_settled(&stack, shards);
}

/// Scenario: broken bodies, and such as become too large, are handed over between good ones.
/// Guarantee: the sender is answered as if its own shard had walked them, nothing of them is stored, and
/// no memory stays reserved.
fn refusals_come_back(reactor: ReactorChoice) {
    let shards = 2;
    let stack = handing_over(reactor, shards);
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let bad = bad_bodies();
    let calls = bad.iter().map(|bad| Call::new([message(0, &bad.body)]));
    for (answer, bad) in client.calls(calls).iter().zip(&bad) {
        assert_eq!(answer.code(), INVALID_ARGUMENT, "{}: {answer:?}", bad.fault);
    }
    for (name, pack) in PACKINGS {
        let bomb = message(1, &pack(&large(new_trace_id(), 5 << 20)));
        let answer = client.call(Call::new([bomb]).header("grpc-encoding", name));
        assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{name}: {answer:?}");
        let broken = Bytes::from_static(b"no such thing");
        let answer = client.call(Call::new([message(1, &broken)]).header("grpc-encoding", name));
        assert_eq!(answer.code(), INVALID_ARGUMENT, "{name}: {answer:?}");
    }
    let id = new_trace_id();
    let answer = client.call(Call::new([message(0, &large(id, BYTES))]));
    assert_eq!(answer.code(), 0, "{answer:?}");
    assert_stored(&stack, &[id]);
    assert_settled(&stack, shards);
}

/// Scenario: many bodies below the bound come to a shard that hands over whatever is above it, then one that
/// reaches it.
/// Guarantee: the first all stay where they are.
fn small_bodies_stay(reactor: ReactorChoice) {
    let shards = 2;
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        always_handing_over(config, shards);
        config.hand_over.body_bytes_min = BYTES;
    });
    let mut client = GrpcClient::connect(stack.grpc_addr());
    let calls = (0..32).map(|_| Call::new([message(0, &large(new_trace_id(), BYTES / 2))]));
    for answer in client.calls(calls) {
        assert_eq!(answer.code(), 0, "{answer:?}");
    }
    let handed = of_each_shard(&stack, shards, "bodies_handed_over_total", "");
    assert_eq!(handed, [0, 0]);
    let answer = client.call(Call::new([message(0, &large(new_trace_id(), BYTES))]));
    assert_eq!(answer.code(), 0, "{answer:?}");
    let handed = of_each_shard(&stack, shards, "bodies_handed_over_total", "");
    assert_eq!(handed.iter().sum::<u64>(), 1);
}
