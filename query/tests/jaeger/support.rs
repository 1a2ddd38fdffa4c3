//! A private ClickHouse, an engine that fills it, a query server over it, and a client that asks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::contract;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;
use spanmill_embedded::testing::{TestServer, start_private_with};
use spanmill_engine::ReactorChoice;
use spanmill_engine::{
    AckMode, ClickHouse, Engine, HandOver, LogConfig, MemoryPlan, PeerLimits, Pin,
};
use spanmill_query::{Config, Server};
use spanmill_schema::{Connection, Retention, SchemaSettings, Tables};

/// How long anything here may take before the test fails: for hangs, never for measuring.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A query server and its ClickHouse with all tables.
pub(crate) struct Stack {
    pub(crate) clickhouse: TestServer,
    server: Option<Server>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n\n{}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        )
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Stack {
    pub(crate) fn start() -> Stack {
        Self::start_with(|_| {})
    }

    /// The same with a changed configuration.
    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Stack {
        let clickhouse = start_private_with(|options| options.query_log = true);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let connection = connection(&clickhouse);
        let migrated = runtime.block_on(spanmill_schema::migrate(
            &connection,
            &SchemaSettings::default(),
        ));
        migrated.unwrap_or_else(|error| panic!("{error}"));
        let mut config = config(connection);
        change(&mut config);
        let server = Server::start(&config).unwrap_or_else(|error| panic!("{error}"));
        Stack {
            clickhouse,
            server: Some(server),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.as_ref().expect("a server").addr()
    }

    /// Stores spans through an engine of their own, which confirms them once they are in ClickHouse.
    pub(crate) fn store(&self, request: &ExportTraceServiceRequest) {
        let engine = Engine::start(engine_config(&self.clickhouse));
        let engine = engine.unwrap_or_else(|error| panic!("{error}"));
        let body = request.encode_to_vec();
        await_true("the engine takes spans", || {
            let head = format!(
                "POST /v1/traces HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                 content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let answer = exchange(engine.http_addr(), &[head.as_bytes(), &body].concat());
            // Until it has reached ClickHouse it says 503.
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            answer.status == 200
        });
        engine.shutdown();
    }

    /// What ClickHouse answers, without the last line end.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let answer = self.clickhouse.query(sql);
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        answer.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.get_with(target, "")
    }

    /// With further headers, each line ended.
    pub(crate) fn get_with(&self, target: &str, headers: &str) -> Answer {
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        let answer = exchange(self.addr(), head.as_bytes());
        // Compressed ones are looked at by their test.
        if !answer.headers.contains("content-encoding") && answer.status != 431 {
            contract::check(target, &answer);
        }
        answer
    }

    /// An answer with status 200, as JSON.
    pub(crate) fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.json()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown();
        }
    }
}

/// Sends bytes and reads until the end.
pub(crate) fn exchange(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(bytes).expect("bytes are taken");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&all)));
    let headers = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
    let status = headers
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut body = all.split_off(end + 4);
    if headers.contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer {
        status: status.expect("a status"),
        headers,
        body,
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

/// Asks until it is so, for what nobody announces. Each question is a round trip to somebody else, so
/// this does not spin.
pub(crate) fn await_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long: {what}");
    }
}

fn connection(clickhouse: &TestServer) -> Connection {
    Connection {
        url: clickhouse.http_url(),
        user: "default".into(),
        password: String::new(),
    }
}

fn config(clickhouse: Connection) -> Config {
    Config {
        listen: ANY_PORT,
        clickhouse,
        tables: std::sync::Arc::new(Tables::default()),
        cluster: false,
        connections_max: 100,
        queries_max: 8,
        request_timeout: Duration::from_secs(30),
        query_memory_max: 1 << 30,
        query_rows_max: 1_000_000_000,
        cache_bytes_max: 16 << 20,
        retention: Retention::default(),
        cors_origins: Vec::new(),
    }
}

fn engine_config(clickhouse: &TestServer) -> spanmill_engine::Config {
    let memory = MemoryPlan::new(512 << 20, 1);
    // Longer than any test's rows are old.
    let century = Duration::from_secs(100 * 365 * 86_400);
    spanmill_engine::Config {
        shards: 1,
        reactor: ReactorChoice::Auto,
        pin: Pin::Auto,
        otlp_grpc: ANY_PORT,
        otlp_http: ANY_PORT,
        admin: ANY_PORT,
        clickhouse: ClickHouse {
            native: vec![clickhouse.native_addr().to_string()],
            http: connection(clickhouse),
            user: "default".into(),
            password: String::new(),
        },
        tables: std::sync::Arc::new(Tables::default()),
        ack: AckMode::ClickHouse,
        log: LogConfig {
            folder: std::env::temp_dir()
                .join(format!("spanmill-query-{:032x}", fastrand::u128(..))),
            bytes_max: 1 << 30,
        },
        batch_rows: 1,
        batch_rows_max: 100_000,
        batch_age: Duration::from_millis(50),
        insert_timeout: PATIENCE,
        ack_timeout: PATIENCE,
        request_bytes_max: 16 << 20,
        memory,
        timestamp_past_max: century,
        timestamp_future_max: century,
        hand_over: HandOver::default(),
        drain_timeout: PATIENCE,
        peers: PeerLimits::default(),
    }
}
