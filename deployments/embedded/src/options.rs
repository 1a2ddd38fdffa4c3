//! What a caller says about the server it wants.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Port;

/// How much ClickHouse writes to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Failures, failed queries among them.
    Error,
    /// And what needs attention.
    #[default]
    Warning,
    /// And what happens.
    Information,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Information => "information",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The data folder; created when missing. One server at a time uses it.
    pub data_dir: PathBuf,
    /// The `libchdb.so` to host. `None` takes the cached one, which is fetched without a report of
    /// its progress when it is missing: call [`crate::ensure_library`] before to have one.
    pub library: Option<PathBuf>,
    /// A program and its first arguments, which end up in [`crate::host_main`].
    pub host_program: Vec<OsString>,
    /// Where the native protocol listens.
    pub native_port: Port,
    /// Where HTTP listens.
    pub http_port: Port,
    /// How much goes to `clickhouse.log` in the data folder.
    pub log_level: LogLevel,
    /// Whether `system.query_log` is kept. It costs a few percent of a core even when idle.
    pub query_log: bool,
}

impl ServerOptions {
    /// Whether no other port would do for this one.
    pub(crate) fn insists_on(&self, port: u16) -> bool {
        [self.native_port, self.http_port].contains(&Port::Exactly(port))
    }
}
