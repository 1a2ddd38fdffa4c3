//! What the query server is told at its start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use spanmill_schema::{Connection, Retention, Tables};

/// Everything that can be set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where HTTP is answered; port 0 takes a free one.
    pub listen: SocketAddr,
    /// ClickHouse's HTTP interface. The account needs to read, and to change settings of its queries
    /// (`readonly` 0 or 2).
    pub clickhouse: Connection,
    /// The tables that readiness asks for.
    pub tables: Arc<Tables>,
    /// Whether the tables are those of a cluster, so that `…_distributed` is read.
    pub cluster: bool,
    /// Most connections at once; more wait in the kernel.
    pub connections_max: usize,
    /// Most queries that run in ClickHouse at once, from 5 to 50.
    pub queries_max: usize,
    /// How long one request may take in all; its queries are ended with it.
    pub request_timeout: Duration,
    /// Most bytes of memory that ClickHouse may take for one query.
    pub query_memory_max: u64,
    /// Most rows that one query may read.
    pub query_rows_max: u64,
    /// Most bytes that kept results may take.
    pub cache_bytes_max: u64,
    /// For how long the tables keep their rows.
    pub retention: Retention,
    /// Origins whose pages may read answers; none without CORS.
    pub cors_origins: Vec<HeaderValue>,
}
