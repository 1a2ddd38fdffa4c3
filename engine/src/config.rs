//! What an engine is started with. Values are validated by whoever builds this; nothing here is read from
//! the environment.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::HandOver;
use spanmill_schema::{Connection, Tables};

use crate::limits::PeerLimits;
use crate::memory::MemoryPlan;

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, one thread each; pinned to a core each while there are cores enough. At least 1.
    pub shards: usize,
    /// What the shards run on.
    pub reactor: ReactorChoice,
    /// Whether each shard keeps to a core.
    pub pin: Pin,
    /// Where OTLP/gRPC is received; port 0 takes a free one.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP is received; port 0 takes a free one.
    pub otlp_http: SocketAddr,
    /// Where health and metrics are answered; port 0 takes a free one.
    pub admin: SocketAddr,
    /// Where rows go.
    pub clickhouse: ClickHouse,
    /// The tables' columns, those of promoted attributes among them: as the migrations made them.
    pub tables: Arc<Tables>,
    /// When a request is acknowledged.
    pub ack: AckMode,
    /// Where the log is, and how large it may become. What earlier runs left there is inserted in every
    /// ack mode.
    pub log: LogConfig,
    /// Rows from which on a batch is inserted at once.
    pub batch_rows: usize,
    /// Rows that one INSERT takes at most, give or take one request.
    pub batch_rows_max: usize,
    /// How long rows wait for `batch_rows` before they are inserted anyway.
    pub batch_age: Duration,
    /// How long one INSERT may take, sending and confirmation together, within `ack_timeout`.
    pub insert_timeout: Duration,
    /// How long a request waits for its ack before it is told to retry.
    pub ack_timeout: Duration,
    /// Bytes of a request, on the wire as well as decompressed.
    pub request_bytes_max: usize,
    /// What each shard may take of the process's memory; `request_bytes_max` is at most what it says.
    pub memory: MemoryPlan,
    /// How far before now the time of a row may lie; older rows are rejected.
    pub timestamp_past_max: Duration,
    /// How far after now the time of a row may lie; newer rows are rejected.
    pub timestamp_future_max: Duration,
    /// When a shard that is too busy lets others walk what its connections bring.
    pub hand_over: HandOver,
    /// How long `shutdown` waits for requests in flight.
    pub drain_timeout: Duration,
    /// What one peer may take of time and places; the default but in tests.
    pub peers: PeerLimits,
}

impl Config {
    /// Bytes that the logs of one shard may hold.
    pub(crate) fn log_bytes_max_of_shard(&self) -> u64 {
        self.log.bytes_max / self.shards as u64
    }
}

/// The ClickHouse shard that rows go to.
#[derive(Clone)]
pub struct ClickHouse {
    /// Native protocol: `host:port`, at least one. They are replicas of one ClickHouse shard, any of which
    /// will do; each shard of the engine begins at another. A batch may be sent to a second one when it is
    /// not known whether the first has stored it, so with tables that are not replicated, and so do not
    /// share what they remember of tokens, several endpoints would store rows twice.
    pub native: Vec<String>,
    /// HTTP of any of them, for readiness.
    pub http: Connection,
    /// User of the native protocol.
    pub user: String,
    /// Its password; may be empty.
    pub password: String,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClickHouse")
            .field("native", &self.native)
            .field("http", &self.http)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// When a request is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckMode {
    /// When its rows are in the log and synced: they outlast a loss of power.
    Log,
    /// When its rows are in memory: a crash loses them.
    Memory,
    /// When ClickHouse has confirmed them. No disk is needed.
    ClickHouse,
}

/// The write-ahead log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Its folder; made when it is needed.
    pub folder: PathBuf,
    /// Bytes of all shards' logs together, at which requests are told to retry.
    pub bytes_max: u64,
}

/// What the shards run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReactorChoice {
    /// io_uring where it is allowed, epoll elsewhere.
    Auto,
    /// io_uring, or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// Whether each shard keeps to a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// Where shards and usable cores are as many, or cores are isolated.
    Auto,
    /// In any case: for an engine that has these cores to itself.
    Always,
    /// The scheduler places them.
    Never,
}

#[cfg(test)]
impl Config {
    /// Of unit tests: nothing listens, nothing is reached, nothing waits for more.
    pub(crate) fn of_test(shards: usize, ack: AckMode) -> Config {
        let nowhere = ([127, 0, 0, 1], 0).into();
        Config {
            shards,
            reactor: ReactorChoice::Epoll,
            pin: Pin::Never,
            otlp_grpc: nowhere,
            otlp_http: nowhere,
            admin: nowhere,
            clickhouse: ClickHouse {
                native: vec![nowhere.to_string()],
                http: Connection {
                    url: String::new(),
                    user: String::new(),
                    password: String::new(),
                },
                user: String::new(),
                password: String::new(),
            },
            tables: Arc::default(),
            ack,
            log: LogConfig {
                folder: PathBuf::new(),
                bytes_max: 1 << 30,
            },
            batch_rows: 1,
            batch_rows_max: 100_000,
            batch_age: Duration::ZERO,
            insert_timeout: Duration::from_secs(1),
            ack_timeout: Duration::from_secs(1),
            request_bytes_max: 1 << 20,
            memory: MemoryPlan::new(1 << 30, shards),
            timestamp_past_max: Duration::MAX,
            timestamp_future_max: Duration::MAX,
            hand_over: HandOver::default(),
            drain_timeout: Duration::ZERO,
            peers: PeerLimits::default(),
        }
    }
}
