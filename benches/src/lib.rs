//! What the benches share: an engine or a query server in a process of its own, a way to send to it, and what a process has
//! used. Nothing here measures by itself.

pub mod engine;
pub mod export;
pub mod family;
pub mod null_http;
pub mod null_sink;
pub mod process;
pub mod queries;
pub mod received;
pub mod signal;

pub use spanmill_stages::corpus;
