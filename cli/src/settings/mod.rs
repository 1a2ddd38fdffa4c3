//! Takes flags, `SPANMILL_*` variables and a YAML file, and hands out [`Settings`] that are known
//! to be good, or every problem at once. Two stages: texts with their source are gathered first
//! (`sources`), then understood and related to each other (`validate`).

mod environment;
mod file;
mod machine;
mod nearest;
mod problem;
mod queries;
mod reader;
mod reference;
mod sources;
mod stored;
pub(crate) mod table;
mod validate;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use spanmill_embedded::Port;
use spanmill_engine::{AckMode, MemoryPlan, Pin, ReactorChoice};
use spanmill_schema::SchemaSettings;

pub(crate) use problem::SettingsError;
pub(crate) use reference::markdown;
pub(crate) use values::Secret;

use crate::command_line::Command;

/// All that was settled before anything starts. Every field is within its range and agrees with
/// the others.
#[derive(Debug)]
pub(crate) struct Settings {
    pub data_dir: PathBuf,
    /// The ClickHouse at the addresses given, or at the usual ports of this machine.
    pub clickhouse: ClickHouse,
    /// Whether its addresses were given; if not, `up` runs the embedded one instead.
    pub clickhouse_is_given: bool,
    pub embedded: EmbeddedPorts,
    /// What migrations bring the tables to, and the engine fills them by.
    pub schema: SchemaSettings,
    pub listeners: Listeners,
    pub shards: usize,
    pub reactor: ReactorChoice,
    pub pin: Pin,
    pub batching: Batching,
    pub memory: Memory,
    pub wal: Wal,
    pub queries: Queries,
    pub timestamps: Timestamps,
    pub drain_timeout: Duration,
    pub log: Log,
}

/// A ClickHouse that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClickHouse {
    /// host:port each, at least one: replicas of one ClickHouse shard.
    pub native: Vec<String>,
    /// `http://host:port`, no trailing slash.
    pub http: String,
    pub user: String,
    pub password: Secret,
}

/// Loopback ports of the embedded ClickHouse.
#[derive(Debug)]
pub(crate) struct EmbeddedPorts {
    pub native: Port,
    pub http: Port,
}

/// Where the engine and the query server listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub otlp_grpc: SocketAddr,
    pub otlp_http: SocketAddr,
    pub admin: SocketAddr,
    pub query: SocketAddr,
}

/// When a batch closes, and how long an insert and an ack may take.
#[derive(Debug)]
pub(crate) struct Batching {
    pub rows: usize,
    pub rows_max: usize,
    pub age: Duration,
    pub insert_timeout: Duration,
    pub ack: AckMode,
    pub ack_timeout: Duration,
}

/// Bounds on what is held in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub request_bytes_max: usize,
    pub plan: MemoryPlan,
}

/// The write-ahead log.
#[derive(Debug)]
pub(crate) struct Wal {
    pub folder: PathBuf,
    pub bytes_max: u64,
}

/// Bounds on queries, and who may ask from a page.
#[derive(Debug)]
pub(crate) struct Queries {
    pub connections_max: usize,
    pub concurrency: usize,
    pub timeout: Duration,
    pub memory_max: u64,
    pub rows_max: u64,
    pub cache_bytes_max: u64,
    pub cors_origins: Vec<HeaderValue>,
}

/// How far from now the times of rows may lie.
#[derive(Debug)]
pub(crate) struct Timestamps {
    pub past_max: Duration,
    pub future_max: Duration,
}

/// What is logged, and how.
#[derive(Debug)]
pub(crate) struct Log {
    pub format: LogFormat,
    /// Directives of a tracing filter, known to parse.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text, coloured on a terminal.
    Auto,
    Text,
    Json,
}

/// Settles everything for `command` from the flags as given and the process's `variables`.
pub(crate) fn load(
    command: Command,
    flags: Vec<(&'static table::Setting, String)>,
    variables: &[(OsString, OsString)],
) -> Result<Settings, SettingsError> {
    let mut problems = Vec::new();
    let raw = sources::gather(flags, variables, &mut problems);
    match validate::settings(command, &raw, &mut problems) {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(SettingsError(problems)),
    }
}

#[cfg(test)]
mod tests;
