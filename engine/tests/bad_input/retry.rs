//! Requests that are good and come at a bad time: told when to come again. And what the admin port says
//! of all refusals.

use spanmill_engine::ReactorChoice;
use std::time::Duration;

use crate::support::grpc::{self, Call, GrpcClient, message};
use crate::support::http1::{self, HttpClient, post};
use crate::support::packed::gzip;
use crate::support::spans::{good, large, new_trace_id};
use crate::support::{
    RunningEngine, Stack, admin_get, await_true, closed_port, config_for, metric, metrics,
};
use crate::{assert_grpc_goes_on, assert_http_goes_on, code, on_each_reactor};

on_each_reactor! {
    no_clickhouse
    too_much_pending
    refusals_are_counted
    shards_are_counted_apart
}

fn assert_grpc_retry(answer: &grpc::Answer) {
    assert_eq!(answer.code(), code::UNAVAILABLE, "{answer:?}");
    let status = answer.details().expect("details");
    assert_eq!(status.code, code::UNAVAILABLE);
    assert_eq!(status.retry_delay(), Some(Duration::from_secs(1)));
}

fn assert_http_retry(answer: &http1::Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let status = answer.rpc_status();
    assert_eq!(status.code, code::UNAVAILABLE);
    assert_eq!(status.retry_delay(), Some(Duration::from_secs(1)));
}

/// Scenario: an engine is started where no ClickHouse listens; small and large requests come, faulty ones
/// among them, many on one connection.
/// Guarantee: UNAVAILABLE with RetryInfo, 503 with Retry-After, every time; alive, but not ready.
fn no_clickhouse(reactor: ReactorChoice) {
    let (_hold, nowhere) = closed_port();
    let mut config = config_for(nowhere, format!("http://{nowhere}"));
    config.reactor = reactor;
    let engine = RunningEngine::start(config);
    let mut grpc = GrpcClient::connect(engine.get().grpc_addr());
    let mut http = HttpClient::connect(engine.get().http_addr());
    let bodies = [
        good(new_trace_id()),
        large(new_trace_id(), 1 << 20),
        vec![0xff; 100],
    ];
    for body in bodies.iter().cycle().take(300) {
        assert_grpc_retry(&grpc.call(Call::new([message(0, body)])));
        assert_http_retry(&http.ask(&post(&[], body)));
    }
    let admin = engine.get().admin_addr();
    assert_eq!(admin_get(admin, "/healthz").0, 200);
    let (status, reason) = admin_get(admin, "/readyz");
    assert_eq!(status, 503, "{reason}");
    assert!(reason.starts_with("not ready: "), "{reason}");
    let metrics = metrics(admin);
    let available = metric(&metrics, "spanmill_clickhouse_available{shard=\"0\"}");
    assert_eq!(available, Some(0.0), "{metrics}");
}

/// Scenario: a request larger than all that may be pending, by its bytes on the wire, and by what they
/// become when decompressed.
/// Guarantee: told to come again; nothing stored; smaller ones are taken on the same connection.
fn too_much_pending(reactor: ReactorChoice) {
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.memory.hard = 64 << 10;
    });
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let body = large(id, 1 << 20);
    let packed = gzip(&body);
    assert!(packed.len() < 64 << 10);
    for _ in 0..3 {
        assert_grpc_retry(&grpc.call(Call::new([message(0, &body)])));
        assert_grpc_goes_on(&stack, &mut grpc, id, "too much pending");
        let call = Call::new([message(1, &packed)]).header("grpc-encoding", "gzip");
        assert_grpc_retry(&grpc.call(call));
        assert_grpc_goes_on(&stack, &mut grpc, id, "too much pending");
        assert_http_retry(&http.ask(&post(&[], &body)));
        assert_http_goes_on(&stack, &mut http, id, "too much pending");
        assert_http_retry(&http.ask(&post(&[("content-encoding", "gzip")], &packed)));
        assert_http_goes_on(&stack, &mut http, id, "too much pending");
    }
    let pending = metric(
        &metrics(stack.admin_addr()),
        "spanmill_pending_bytes{shard=\"0\"}",
    );
    assert_eq!(pending, Some(0.0));
}

/// Scenario: one request of each kind of refusal, a different number of times.
/// Guarantee: `/metrics` counts each by its reason, all requests by their transport, and the connections that
/// are open; closed ones are not counted any more.
fn refusals_are_counted(reactor: ReactorChoice) {
    let stack = Stack::start_with(|config| {
        config.reactor = reactor;
        config.request_bytes_max = 64 << 10;
        config.memory.hard = 32 << 10;
    });
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = [stack.http_addr(); 2].map(HttpClient::connect);
    let body = good(new_trace_id());
    assert_eq!(http[1].ask(&post(&[], &body)).status, 200);
    let http_cases = [
        (1, 400, post(&[], b"\xff")),
        (2, 413, post(&[], &vec![0; 100 << 10])),
        (3, 404, http1::request("POST /x", &[], b"")),
        (4, 405, http1::request("GET /v1/traces", &[], b"")),
        (5, 415, post(&[("content-type", "text/plain")], &body)),
        (6, 415, post(&[("content-encoding", "br")], &body)),
        (7, 503, post(&[], &vec![0; 50 << 10])),
    ];
    for (times, status, request) in http_cases {
        for _ in 0..times {
            assert_eq!(http[0].ask(&request).status, status);
        }
    }
    let grpc_cases = [
        (
            10,
            code::INVALID_ARGUMENT,
            Call::new as fn([bytes::Bytes; 1]) -> Call,
            message(0, b"\xff"),
        ),
        (
            20,
            code::RESOURCE_EXHAUSTED,
            Call::new,
            message(0, &vec![0; 100 << 10]),
        ),
        (
            30,
            code::UNIMPLEMENTED,
            |data| Call {
                path: "/x",
                ..Call::new(data)
            },
            message(0, b""),
        ),
        (
            40,
            code::UNIMPLEMENTED,
            |data| Call::new(data).header("grpc-encoding", "br"),
            message(0, b""),
        ),
        (
            50,
            code::UNAVAILABLE,
            Call::new,
            message(0, &vec![0; 50 << 10]),
        ),
    ];
    for (times, code, call, data) in grpc_cases {
        for _ in 0..times {
            assert_eq!(grpc.call(call([data.clone()])).code(), code);
        }
    }
    let text = metrics(stack.admin_addr());
    let value = |name: &str| metric(&text, name).unwrap_or_else(|| panic!("no {name}:\n{text}"));
    let refused = [
        ("invalid", 11.0),
        ("too_large", 22.0),
        ("not_found", 33.0),
        ("method", 4.0),
        ("content_type", 5.0),
        ("encoding", 46.0),
        ("no_memory", 57.0),
    ];
    for (reason, count) in refused {
        let name = format!("spanmill_refused_total{{shard=\"0\",reason=\"{reason}\"}}");
        assert_eq!(value(&name), count, "{reason}");
    }
    let of = |name: &str, transport: &str| {
        format!("spanmill_{name}{{shard=\"0\",transport=\"{transport}\"}}")
    };
    assert_eq!(value(&of("requests_total", "http")), 29.0);
    assert_eq!(value(&of("requests_total", "grpc")), 150.0);
    assert_eq!(value(&of("connections", "http")), 2.0);
    assert_eq!(value(&of("connections", "grpc")), 1.0);
    assert_eq!(
        value("spanmill_inserted_rows_total{shard=\"0\",table=\"otel_traces\"}"),
        1.0
    );
    drop((grpc, http));
    await_true("every connection is gone", || {
        let text = metrics(stack.admin_addr());
        ["grpc", "http"]
            .iter()
            .all(|transport| metric(&text, &of("connections", transport)) == Some(0.0))
    });
}

/// Scenario: two shards, as many connections as it takes until both have one, a refused request on each.
/// Guarantee: each shard counts what it refused itself, and no refusal is lost or counted twice.
fn shards_are_counted_apart(reactor: ReactorChoice) {
    if reactor == ReactorChoice::Uring && !crate::support::uring_works(2) {
        return;
    }
    let (_hold, nowhere) = closed_port();
    let mut config = config_for(nowhere, format!("http://{nowhere}"));
    config.reactor = reactor;
    config.shards = 2;
    let engine = RunningEngine::start(config);
    let refused = || {
        let text = metrics(engine.get().admin_addr());
        [0, 1].map(|shard| {
            let name =
                format!("spanmill_refused_total{{shard=\"{shard}\",reason=\"unavailable\"}}");
            metric(&text, &name).expect("a count")
        })
    };
    let mut open = Vec::new();
    await_true("both shards have refused a request", || {
        let mut client = HttpClient::connect(engine.get().http_addr());
        assert_http_retry(&client.ask(&post(&[], &good(new_trace_id()))));
        open.push(client);
        let [first, second] = refused();
        assert_eq!(first + second, open.len() as f64);
        first > 0.0 && second > 0.0
    });
}
