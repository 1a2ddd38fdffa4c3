//! A real ClickHouse inside a child process: takes a data folder and two ports, gives back a
//! server that has answered a query over HTTP and speaks the native protocol on loopback. It never
//! listens beyond 127.0.0.1, never prints, and its process never outlives the one that started it.
//!
//! The engine is `libchdb.so` from an npm package, fetched once into the user's cache
//! ([`ensure_library`]). Its command-line entry point runs in a process of its own
//! ([`host_main`], behind the hidden subcommand `spanmill clickhouse-host`), because it takes over
//! signals, the standard streams and the terminal. [`Server`] starts, watches and stops that
//! process.
//!
//! ```text
//!  ensure_library ─▶ libchdb.so ─┐
//!  Server::start ─▶ lock the folder, write config ─▶ host process ─▶ ready: a query answered
//!                                    lifeline socket ◀──┘ (end of file = the other side is gone)
//! ```

mod error;
mod folder;
mod host;
mod http;
mod library;
mod npm;
mod options;
mod package;
mod ports;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;

pub use error::Error;
pub use host::host_main;
pub use http::QueryError;
pub use library::{
    LIBRARY_VARIABLE, Progress, default_cache_dir, ensure_library, library_from_env,
};
pub use options::{LogLevel, ServerOptions};
pub use ports::Port;
pub use server::Server;
pub use tokens::forget_lost_tokens;
