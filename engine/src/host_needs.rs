//! What the engine asks of its host, for those who look whether a host has it: bounds and one probe, the very
//! ones that a start goes by.

use crate::limits::{DESCRIPTORS_OF_PROCESS, DESCRIPTORS_OF_SHARD};

pub use crate::limits::{BACKLOG, COMMIT_INTERVAL, CONNECTIONS_MIN, STREAM_WINDOW};
pub use crate::reactor::{KERNEL_MIN, MEMLOCK_PER_SHARD, cores, isolated_cores, try_io_uring};

/// Bytes of the log when no setting says.
pub const WAL_BYTES: u64 = 16 << 30;
/// Fewer make no log of use: see the segments that one has at least.
pub const WAL_BYTES_MIN: u64 = 64 << 20;
/// A start fails when memory is for smaller requests only and no setting asks for that.
pub const REQUEST_BYTES_MIN: usize = 1 << 20;

/// Descriptors of a process of `shards` shards that each serve so many connections.
#[must_use]
pub fn descriptors(shards: usize, connections: usize) -> usize {
    DESCRIPTORS_OF_PROCESS + shards * (DESCRIPTORS_OF_SHARD + connections)
}

/// Connections that each of `shards` shards has so many descriptors for.
#[must_use]
pub fn connections_within(shards: usize, descriptors: usize) -> usize {
    let share = descriptors.saturating_sub(DESCRIPTORS_OF_PROCESS) / shards.max(1);
    share.saturating_sub(DESCRIPTORS_OF_SHARD)
}
