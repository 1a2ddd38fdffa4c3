//! The query server: requests of tools such as Jaeger's UI and Grafana come in over HTTP, rows of the
//! tables in ClickHouse go out in the shape that they expect. It never writes.
//!
//! ```text
//! connection ─▶ routes ─▶ jaeger/ ─▶ traces/ ─▶ clickhouse/ ─▶ tables
//!  bounded       limits    shapes     what to    typed
//!                                     read       parameters
//! ```
//!
//! What a stranger sends reaches ClickHouse as typed parameters only: [`clickhouse`] takes SQL as
//! constants of this program, so that user text cannot become part of a statement.

mod cache;
mod clickhouse;
mod clock;
mod config;
mod connection;
mod error;
mod health;
mod jaeger;
mod limits;
mod metrics;
mod openapi;
mod parameters;
mod routes;
mod search_parameters;
mod server;
mod services;
mod tables;
mod traces;

pub use config::Config;
pub use server::{Server, StartError};
