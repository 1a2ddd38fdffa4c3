//! What the benches share: an engine in a process of its own, a way to send to it, and what a process has
//! used. Nothing here measures by itself.

pub mod engine;
pub mod export;
pub mod null_sink;
pub mod process;
pub mod signal;

pub use spanmill_stages::corpus;
