//! What the engine needs of a host: its own bounds, in the units that files of the host have, and what it is
//! meant to reach.

use spanmill_engine::{MemoryPlan, PeerLimits, host_needs};

pub(crate) use host_needs::{
    KERNEL_MIN, MEMLOCK_PER_SHARD, REQUEST_BYTES_MIN, WAL_BYTES, WAL_BYTES_MIN,
};

/// Connections that may wait to be accepted, of each listening socket.
pub(crate) const BACKLOG: u64 = host_needs::BACKLOG as u64;
/// Bytes of a request that may be on the way on one HTTP/2 stream.
pub(crate) const STREAM_WINDOW: u64 = host_needs::STREAM_WINDOW as u64;
/// Connections that a shard serves however few descriptors there are.
pub(crate) const CONNECTIONS_MIN: u64 = host_needs::CONNECTIONS_MIN as u64;
/// The time between two commits under load. A sync that takes longer sets the pace instead.
pub(crate) const COMMIT_INTERVAL_MS: f64 = host_needs::COMMIT_INTERVAL.as_millis() as f64;
/// An acknowledgement is meant to take no longer than this, in 99 of 100 cases.
pub(crate) const ACK_P99_MS: f64 = 25.0;
/// A request of this size must fit: receivers of gRPC take it by default, so senders keep below it.
pub(crate) const REQUEST_BYTES_USUAL: usize = 4 << 20;

/// The least bytes that an engine takes by default.
pub(crate) fn memory_min() -> u64 {
    MemoryPlan::default_memory(None, 1)
}

pub(crate) fn plan(memory_max: u64, shards: usize) -> MemoryPlan {
    MemoryPlan::new(usize::try_from(memory_max).unwrap_or(usize::MAX), shards)
}

/// Connections that each of `shards` shards serves, by memory alone.
pub(crate) fn connections(memory_max: u64, shards: usize) -> u64 {
    let by_memory = plan(memory_max, shards).connections;
    by_memory.min(PeerLimits::default().connections) as u64
}

/// Descriptors for `shards` shards that each serve so many connections.
pub(crate) fn descriptors(shards: usize, connections: u64) -> u64 {
    host_needs::descriptors(shards, connections as usize) as u64
}

/// Connections that each shard serves with so many descriptors.
pub(crate) fn connections_within(shards: usize, descriptors: u64) -> u64 {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    host_needs::connections_within(shards, descriptors) as u64
}
