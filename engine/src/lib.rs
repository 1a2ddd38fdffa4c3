//! The engine: one shard per core takes OTLP requests, walks them into columns and inserts them into
//! ClickHouse. It neither creates tables (that is `spanmill-schema`'s) nor reads them.
//!
//! The way of the data is the layout of this crate: `listen` → `decode` → `columns` → `chunk` → `commit`, where
//! requests are answered through `ack` once their rows are in the `log`, and from there → `insert`; on a
//! `reactor`, owned by a `shard`.

mod ack;
mod admin;
mod backlog;
mod balance;
mod chunk;
mod columns;
mod commit;
mod config;
mod decode;
mod engine;
mod fault;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host_needs;
mod inflate;
mod insert;
mod json;
mod limits;
mod listen;
mod log;
mod memory;
mod metrics;
mod open_files;
mod process;
mod reactor;
mod refusal;
mod run;
mod shard;
#[cfg(test)]
mod simulation;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod status;

pub use balance::HandOver;
pub use config::{AckMode, ClickHouse, Config, LogConfig, Pin, ReactorChoice};
pub use engine::{DrainReport, Engine, StartError};
pub use limits::PeerLimits;
pub use listen::BindError;
pub use memory::MemoryPlan;
pub use open_files::raise_open_files;
