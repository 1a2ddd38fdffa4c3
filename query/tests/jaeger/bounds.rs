//! What happens at the edges: ClickHouse away, queries that are too much, clients that leave, and what
//! every answer may be asked for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::HeaderValue;
use serde_json::json;

use crate::known::known;
use crate::support::{PATIENCE, Stack, await_true};

/// Makes dependencies take minutes, in steps of a second.
const SLOW_VIEW: &str = "CREATE OR REPLACE VIEW spanmill.otel_service_dependencies_1h AS \
    SELECT now() AS Hour, 'a' AS Caller, 'b' AS Callee, toUInt64(sleepEachRow(1)) AS Count \
    FROM numbers(600) SETTINGS max_block_size = 1";
/// With its end, so that it is the same question whenever it is asked.
const SLOW: &str = "/api/dependencies?endTs=4000000000000&lookback=4000000000000";
const SLOW_RUNS: &str =
    "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'spanmill dependencies'";

fn ask_slow(stack: &Stack) -> TcpStream {
    let mut stream = TcpStream::connect(stack.addr()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let request = format!("GET {SLOW} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("bytes are taken");
    stream
}

/// Scenario: two clients ask the same slow question; one leaves, then the other.
/// Guarantees: ClickHouse runs it once; it goes on for the one who stays; it is ended when both are gone.
#[test]
fn a_query_ends_with_its_last_client() {
    let stack = Stack::start();
    stack.sql(SLOW_VIEW);
    let first = ask_slow(&stack);
    await_true("the query runs", || stack.sql(SLOW_RUNS) == "1");
    let second = ask_slow(&stack);
    // In this query, and maybe in a quick one beside it as well.
    let alone = "spanmill_query_queries_shared_total 0";
    await_true("the second joins", || {
        !String::from_utf8_lossy(&stack.get("/metrics").body).contains(alone)
    });
    let connections = |count: u64| {
        // One of them asks.
        let line = format!("spanmill_query_connections {}\n", count + 1);
        await_true("connections are as many", || {
            String::from_utf8_lossy(&stack.get("/metrics").body).contains(&line)
        });
    };
    assert_eq!(stack.sql(SLOW_RUNS), "1", "run once");
    drop(first);
    connections(1);
    assert_eq!(stack.sql(SLOW_RUNS), "1", "one still waits");
    drop(second);
    connections(0);
    await_true("the query is ended", || stack.sql(SLOW_RUNS) == "0");
}

/// Scenario: a question that takes longer than a request may.
/// Guarantees: 504 in Jaeger's shape, and the query is ended.
#[test]
fn a_request_has_its_time() {
    let stack = Stack::start_with(|config| config.request_timeout = Duration::from_secs(1));
    stack.sql(SLOW_VIEW);
    let answer = stack.get(SLOW);
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.json()["errors"][0]["code"], 504);
    await_true("the query is ended", || stack.sql(SLOW_RUNS) == "0");
}

/// Scenario: a search that would read more rows than a query may.
/// Guarantees: 504 that says which limit; the server goes on.
#[test]
fn a_query_has_its_rows() {
    let stack = Stack::start_with(|config| config.query_rows_max = 1);
    stack.sql(
        "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, ServiceName) \
         SELECT now64(9), toFixedString(toString(number), 16), 'shop' FROM numbers(10)",
    );
    let answer = stack.get("/api/traces?service=shop");
    assert_eq!(answer.status, 504, "{answer:?}");
    let message = answer.json()["errors"][0]["msg"].to_string();
    assert!(message.contains("limit"), "{message}");
    assert_eq!(stack.get("/healthz").status, 200);
}

/// Scenario: ClickHouse stops and starts again.
/// Guarantees: 503 with a reason while it is away, on queries and readiness alike, and answers again
/// afterwards without a restart.
#[test]
fn clickhouse_may_be_away() {
    let mut known = known();
    assert_eq!(known.stack.get("/readyz").status, 200);
    known.stack.clickhouse.stop();
    let answer = known.stack.get("/api/services");
    assert_eq!(answer.status, 503, "{answer:?}");
    let message = answer.json()["errors"][0]["msg"].to_string();
    assert!(message.contains("ClickHouse is not available"), "{message}");
    await_true("readiness says so", || {
        known.stack.get("/readyz").status == 503
    });
    assert_eq!(known.stack.get("/healthz").status, 200);
    known.stack.clickhouse.start();
    let services = known.stack.json("/api/services");
    assert_eq!(services["data"], json!(["db", "shop"]));
    await_true("readiness says so", || {
        known.stack.get("/readyz").status == 200
    });
}

/// Scenario: answers asked for compressed, from another origin, with too long a head.
/// Guarantees: gzip and zstd as asked; an origin is told that it may read only if it is on the list; a
/// head over its bound is refused.
#[test]
fn answers_by_header() {
    let origin = HeaderValue::from_static("https://ui.example");
    let stack = Stack::start_with(|config| config.cors_origins = vec![origin]);
    for coding in ["gzip", "zstd"] {
        let answer = stack.get_with("/api/services", &format!("accept-encoding: {coding}\r\n"));
        let named = format!("content-encoding: {coding}");
        assert!(answer.headers.contains(&named), "{answer:?}");
    }
    let allowed = "access-control-allow-origin: https://ui.example";
    let ours = stack.get_with("/api/services", "origin: https://ui.example\r\n");
    assert!(ours.headers.contains(allowed), "{ours:?}");
    let other = stack.get_with("/api/services", "origin: https://other.example\r\n");
    assert!(
        !other.headers.contains("access-control-allow-origin"),
        "{other:?}"
    );
    let long = stack.get_with(
        "/api/services",
        &format!("x: {}\r\n", "y".repeat(200 << 10)),
    );
    assert_eq!(long.status, 431);
}

/// Scenario: 1,000 clients hold connections open in the middle of a request's head, where 1,100 are allowed; then
/// more come than are allowed.
/// Guarantees: others are answered meanwhile; threads do not grow with connections, memory by some KiB each; who
/// is late is answered when others have gone.
#[test]
fn slow_clients_are_apart() {
    // Both ends of each connection are this process's.
    spanmill_engine::raise_open_files().expect("a limit of open files");
    let stack = Stack::start_with(|config| config.connections_max = 1_100);
    assert_eq!(stack.get("/api/services").status, 200);
    let (threads, memory) = (status("Threads:"), status("VmRSS:"));
    let slow = |count: usize| -> Vec<_> {
        let slow = || {
            let mut stream = TcpStream::connect(stack.addr()).expect("a connection");
            let head = b"GET /api/services HTTP/1.1\r\nx-";
            stream.write_all(head).expect("bytes are taken");
            stream
        };
        (0..count).map(|_| slow()).collect()
    };
    let mut held = slow(1_000);
    let open = "spanmill_query_connections 1001\n";
    await_true("all are accepted", || {
        String::from_utf8_lossy(&stack.get("/metrics").body).contains(open)
    });
    assert_eq!(stack.get("/api/services").status, 200);
    // Other tests of this process run beside it and have threads and memory of their own.
    let more = status("Threads:").saturating_sub(threads);
    assert!(more < 300, "{more} more threads");
    let more = status("VmRSS:").saturating_sub(memory);
    assert!(more < 256 << 10, "{more} KiB more");

    let one = held.last_mut().expect("a connection");
    one.write_all(b"y: z\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("bytes are taken");
    let mut answer = String::new();
    one.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    held.extend(slow(200));
    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| stack.get("/api/services").status);
        drop(held);
        late.join().expect("an answer")
    });
    assert_eq!(late, 200);
}

/// A number of this process's status, in KiB where it is memory.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("a number")
}
