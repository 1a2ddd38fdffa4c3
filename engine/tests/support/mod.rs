//! What every test of the whole engine begins with: a private ClickHouse with the tables, and an engine
//! in this process on free ports that writes to it. Everything panics on failure, and everything is gone
//! when a [`Stack`] is dropped.
// Each test binary uses its own part, and `pub` is what they see.
#![allow(dead_code, unreachable_pub)]

pub mod grpc;
pub mod http1;
pub mod packed;
pub mod signals;
pub mod spans;
pub mod status;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use spanmill_embedded::testing::{TestServer, start_private};
use spanmill_engine::{AckMode, ClickHouse, Config, DrainReport, Engine, LogConfig};
use spanmill_engine::{HandOver, MemoryPlan, PeerLimits, Pin, ReactorChoice, StartError};
use spanmill_schema::{Connection, SchemaSettings};

/// How long anything here may take before the test fails: for hangs, never for measuring.
pub const PATIENCE: Duration = Duration::from_secs(60);

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running engine and its ClickHouse.
pub struct Stack {
    // Before the server: the engine drains into it when it is dropped.
    engine: RunningEngine,
    /// The private server; tests of outages stop and start it.
    pub clickhouse: TestServer,
}

/// A running engine, shut down when it is dropped.
pub struct RunningEngine {
    engine: Option<Engine>,
    /// Its log's folder, removed with it.
    log: PathBuf,
}

impl Stack {
    /// Starts both and waits until every shard takes requests.
    pub fn start(reactor: ReactorChoice) -> Stack {
        Self::start_with(|config| config.reactor = reactor)
    }

    /// The same with a changed configuration; see [`config`] for what it begins as.
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Stack {
        let clickhouse = migrated_clickhouse();
        let mut config = config(&clickhouse);
        change(&mut config);
        let shards = config.shards;
        let engine = RunningEngine::start(config);
        engine.await_available(shards);
        Stack { engine, clickhouse }
    }

    /// The stack on this reactor that all tests of this process share which run at the same time: for
    /// tests that tell their own rows apart and change nothing for the others.
    pub fn shared(reactor: ReactorChoice) -> Arc<Stack> {
        Self::shared_with("as it is", reactor, |_| {})
    }

    /// The same with a changed configuration; `name` tells the changes of this process apart.
    pub fn shared_with(
        name: &'static str,
        reactor: ReactorChoice,
        change: impl FnOnce(&mut Config),
    ) -> Arc<Stack> {
        type Place = (&'static str, ReactorChoice, Weak<Stack>);
        static SHARED: Mutex<Vec<Place>> = Mutex::new(Vec::new());
        // A test that could not start its stack has left the places as they were.
        let mut places = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places_of_name = places
            .iter()
            .filter(|place| (place.0, place.1) == (name, reactor));
        if let Some(stack) = places_of_name.find_map(|place| place.2.upgrade()) {
            return stack;
        }
        let stack = Arc::new(Stack::start_with(|config| {
            config.reactor = reactor;
            change(config);
        }));
        places.push((name, reactor, Arc::downgrade(&stack)));
        stack
    }

    /// The engine.
    pub fn engine(&self) -> &RunningEngine {
        &self.engine
    }

    /// Where OTLP/gRPC is received.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.engine.get().grpc_addr()
    }

    /// Where OTLP/HTTP is received.
    pub fn http_addr(&self) -> SocketAddr {
        self.engine.get().http_addr()
    }

    /// Where health and metrics are answered.
    pub fn admin_addr(&self) -> SocketAddr {
        self.engine.get().admin_addr()
    }

    /// What ClickHouse answers, as TabSeparated text without the last line end.
    pub fn query(&self, sql: &str) -> String {
        let answer = self.clickhouse.query(sql);
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        answer.trim_end_matches('\n').to_owned()
    }

    /// Stops the engine in order; the ClickHouse goes on.
    pub fn shutdown(&mut self) -> DrainReport {
        self.engine.shutdown()
    }
}

impl RunningEngine {
    /// Starts an engine, and does not wait for its ClickHouse.
    pub fn start(config: Config) -> RunningEngine {
        let log = config.log.folder.clone();
        let engine = Engine::start(config).unwrap_or_else(|error| panic!("{error}"));
        RunningEngine {
            engine: Some(engine),
            log,
        }
    }

    /// The engine.
    pub fn get(&self) -> &Engine {
        self.engine.as_ref().expect("the engine was shut down")
    }

    /// Waits until each of `shards` shards has its connection to ClickHouse.
    pub fn await_available(&self, shards: usize) {
        let admin = self.get().admin_addr();
        await_true("every shard reaches ClickHouse", || {
            let metrics = metrics(admin);
            let available = |shard| metric(&metrics, &available_name(shard)) == Some(1.0);
            (0..shards).all(available)
        });
    }

    /// Stops it in order.
    pub fn shutdown(&mut self) -> DrainReport {
        let engine = self
            .engine
            .take()
            .expect("the engine was shut down already");
        engine.shutdown()
    }
}

impl Drop for RunningEngine {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.shutdown();
        }
        // A test without a log has no folder.
        let _ = std::fs::remove_dir_all(&self.log);
    }
}

fn available_name(shard: usize) -> String {
    format!("spanmill_clickhouse_available{{shard=\"{shard}\"}}")
}

/// A private ClickHouse with all tables.
pub fn migrated_clickhouse() -> TestServer {
    let clickhouse = start_private();
    let connection = connection(clickhouse.http_url());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let report = runtime.block_on(spanmill_schema::migrate(
        &connection,
        &SchemaSettings::default(),
    ));
    report.unwrap_or_else(|error| panic!("{error}"));
    clickhouse
}

/// Longer than any test's rows are old.
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// One shard on free ports that inserts each request as it comes, so that no test waits for a batch.
pub fn config(clickhouse: &TestServer) -> Config {
    config_for(clickhouse.native_addr(), clickhouse.http_url())
}

/// The same for a ClickHouse at these addresses, which may or may not be there.
pub fn config_for(native: SocketAddr, http_url: String) -> Config {
    Config {
        shards: 1,
        reactor: ReactorChoice::Auto,
        pin: Pin::Auto,
        otlp_grpc: LOOPBACK,
        otlp_http: LOOPBACK,
        admin: LOOPBACK,
        clickhouse: ClickHouse {
            native: vec![native.to_string()],
            http: connection(http_url),
            user: "default".into(),
            password: String::new(),
        },
        // A row can be looked for as soon as it is acknowledged; tests of the log say so.
        ack: AckMode::ClickHouse,
        log: LogConfig {
            folder: std::env::temp_dir().join(format!("spanmill-test-{:032x}", fastrand::u128(..))),
            bytes_max: 1 << 30,
        },
        batch_rows: 1,
        batch_rows_max: 100_000,
        batch_age: Duration::from_millis(10),
        insert_timeout: PATIENCE,
        ack_timeout: PATIENCE,
        request_bytes_max: 4 << 20,
        memory: MemoryPlan::new(512 << 20, 1),
        tables: std::sync::Arc::default(),
        timestamp_past_max: A_CENTURY,
        timestamp_future_max: A_CENTURY,
        hand_over: HandOver::default(),
        drain_timeout: Duration::from_secs(10),
        peers: PeerLimits::default(),
    }
}

fn connection(url: String) -> Connection {
    Connection {
        url,
        user: "default".into(),
        password: String::new(),
    }
}

/// An address on which nothing listens: connections are refused at once. The socket that holds it must
/// live as long as nothing shall listen there.
pub fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&LOOPBACK.into()).expect("a free port");
    let address = socket.local_addr().expect("its address");
    (socket, address.as_socket().expect("an IP address"))
}

/// Whether io_uring works here with this many shards; says so when it does not.
pub fn uring_works(shards: usize) -> bool {
    let (_hold, nowhere) = closed_port();
    let mut config = config_for(nowhere, format!("http://{nowhere}"));
    config.shards = shards;
    config.reactor = ReactorChoice::Uring;
    match Engine::start(config) {
        Ok(engine) => {
            engine.shutdown();
            true
        }
        Err(StartError::Reactor(reason)) => {
            eprintln!("not tested on io_uring: {reason}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// The reactors that work on this machine with this many shards.
pub fn reactors(shards: usize) -> Vec<ReactorChoice> {
    if uring_works(shards) {
        vec![ReactorChoice::Uring, ReactorChoice::Epoll]
    } else {
        vec![ReactorChoice::Epoll]
    }
}

/// Asks until `done`, for what nobody announces. Each question is a round trip to somebody else, so this
/// does not spin.
pub fn await_true(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
    }
}

/// Asks the admin port for a path: status and body.
pub fn admin_get(admin: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = connect(admin);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// The text of `/metrics`.
pub fn metrics(admin: SocketAddr) -> String {
    let (status, text) = admin_get(admin, "/metrics");
    assert_eq!(status, 200, "{text}");
    text
}

/// The value of one line of `/metrics`, named with its labels as they stand there.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|value| value.parse().ok())
}

/// A connection whose reads and writes end in an error rather than hang.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A listener on a free port of the loopback interface.
pub fn listener() -> TcpListener {
    TcpListener::bind(LOOPBACK).expect("a free port")
}

/// Makes of each function that takes a reactor one test on io_uring, passed over where that does not
/// work, and one on epoll.
#[macro_export]
macro_rules! on_each_reactor {
    ($($(#[$doc:meta])* $name:ident)*) => {
        mod uring {
            $($(#[$doc])* #[test] fn $name() {
                if $crate::support::uring_works(1) {
                    super::$name(spanmill_engine::ReactorChoice::Uring);
                }
            })*
        }
        mod epoll {
            $($(#[$doc])* #[test] fn $name() {
                super::$name(spanmill_engine::ReactorChoice::Epoll);
            })*
        }
    };
}
