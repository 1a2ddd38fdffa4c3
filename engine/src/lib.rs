//! The engine: one shard per core takes OTLP requests, walks them into columns and inserts them into
//! ClickHouse. It neither creates tables (that is `spanmill-schema`'s) nor reads them.
//!
//! The way of the data is the layout of this crate: `listen` → `decode` → `columns` → `insert`, on a
//! `reactor`, owned by a `shard`, answered through `ack`.

mod ack;
mod admin;
mod columns;
mod config;
mod decode;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inflate;
mod insert;
mod json;
mod limits;
mod listen;
mod metrics;
mod reactor;
mod refusal;
mod run;
mod shard;

pub use config::{ClickHouse, Config, ReactorChoice};
pub use engine::{DrainReport, Engine, StartError};
pub use listen::BindError;
