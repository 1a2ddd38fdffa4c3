//! What an engine is started with. Values are validated by whoever builds this; nothing here is read from
//! the environment.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spanmill_schema::{Connection, Tables};

use crate::limits::PeerLimits;

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, one thread each; pinned to a core each while there are cores enough. At least 1.
    pub shards: usize,
    /// What the shards run on.
    pub reactor: ReactorChoice,
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
    /// Rows from which on a batch is inserted at once.
    pub batch_rows: usize,
    /// Rows that one INSERT takes at most, give or take one request.
    pub batch_rows_max: usize,
    /// How long rows wait for `batch_rows` before they are inserted anyway.
    pub batch_age: Duration,
    /// How long one INSERT may take, sending and confirmation together, within `ack_timeout`.
    pub insert_timeout: Duration,
    /// How long a batch is tried before its requests are told to retry.
    pub ack_timeout: Duration,
    /// Bytes of a request, on the wire as well as decompressed.
    pub request_bytes_max: usize,
    /// Bytes of requests that are being received or wait for ClickHouse, in each shard. A compressed
    /// request counts in both its forms, so this is at least twice `request_bytes_max`.
    pub pending_bytes_max: usize,
    /// How far before now the time of a row may lie; older rows are rejected.
    pub timestamp_past_max: Duration,
    /// How far after now the time of a row may lie; newer rows are rejected.
    pub timestamp_future_max: Duration,
    /// How long `shutdown` waits for requests in flight.
    pub drain_timeout: Duration,
    /// What one peer may take of time and places; the default but in tests.
    pub peers: PeerLimits,
}

/// The ClickHouse server that rows go to.
#[derive(Clone)]
pub struct ClickHouse {
    /// Native protocol: `host:port`.
    pub native: String,
    /// HTTP, for readiness.
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
