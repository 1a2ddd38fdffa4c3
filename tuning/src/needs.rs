//! What the engine needs of a host. Bounds that it does not hand out are repeated here, and a test compares
//! them with its source.

use spanmill_engine::{MemoryPlan, PeerLimits};

/// Linux from which on the io_uring reactor runs.
pub(crate) const KERNEL_MIN: (u32, u32) = (5, 8);
/// Bytes of locked memory that each shard must be allowed for io_uring.
pub(crate) const MEMLOCK_PER_SHARD: u64 = 512 << 10;
/// Connections that may wait to be accepted, of each listening socket.
pub(crate) const BACKLOG: u64 = 4096;
/// Bytes of a request that may be on the way on one HTTP/2 stream.
pub(crate) const STREAM_WINDOW: u64 = 4 << 20;
/// Descriptors besides those of connections.
pub(crate) const DESCRIPTORS_OF_PROCESS: u64 = 160;
pub(crate) const DESCRIPTORS_OF_SHARD: u64 = 32;
/// Connections that a shard serves however few descriptors there are.
pub(crate) const CONNECTIONS_MIN: u64 = 8;
/// The default of `wal_bytes_max`, and the least that it may be.
pub(crate) const WAL_BYTES: u64 = 16 << 30;
pub(crate) const WAL_BYTES_MIN: u64 = 64 << 20;
/// The time between two commits under load. A sync that takes longer sets the pace instead.
pub(crate) const COMMIT_INTERVAL_MS: f64 = 10.0;
/// An acknowledgement is meant to take no longer than this, in 99 of 100 cases.
pub(crate) const ACK_P99_MS: f64 = 25.0;
/// The smallest bound on a request that an engine starts with by default.
pub(crate) const REQUEST_BYTES_MIN: usize = 1 << 20;
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
pub(crate) fn descriptors(shards: u64, connections: u64) -> u64 {
    DESCRIPTORS_OF_PROCESS + shards * (DESCRIPTORS_OF_SHARD + connections)
}

/// Connections that each shard serves with so many descriptors.
pub(crate) fn connections_within(shards: u64, descriptors: u64) -> u64 {
    let share = descriptors.saturating_sub(DESCRIPTORS_OF_PROCESS) / shards.max(1);
    share.saturating_sub(DESCRIPTORS_OF_SHARD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a bound of the engine is changed.
    /// Guarantee: the doctor does not go on judging by the old one without this test failing.
    #[test]
    fn the_bounds_are_the_engines() {
        let limits = include_str!("../../engine/src/limits.rs");
        let choice = include_str!("../../engine/src/reactor/choice.rs");
        let table = include_str!("../../cli/src/settings/table.rs");
        let validate = include_str!("../../cli/src/settings/validate.rs");
        let sources = format!("{limits}{choice}{table}{validate}");
        for line in [
            "const KERNEL_MIN: (u32, u32) = (5, 8);",
            "const MEMLOCK_PER_SHARD: u64 = 512 << 10;",
            "const BACKLOG: i32 = 4096;",
            "const STREAM_WINDOW: u32 = 4 << 20;",
            "const DESCRIPTORS_OF_PROCESS: usize = 160;",
            "const DESCRIPTORS_OF_SHARD: usize = 32;",
            "const CONNECTIONS_MIN: usize = 8;",
            "const COMMIT_INTERVAL: Duration = Duration::from_millis(10);",
            "accepts: \"a size from 64MiB to 1PiB, such as 16GiB\",",
            "default: Default::Text(\"16GiB\"),",
            "const REQUEST_BYTES_MIN: usize = 1 << 20;",
        ] {
            assert!(sources.contains(line), "the engine no longer says {line}");
        }
        assert_eq!((KERNEL_MIN, MEMLOCK_PER_SHARD), ((5, 8), 512 << 10));
        assert_eq!((BACKLOG, STREAM_WINDOW), (4096, 4 << 20));
        assert_eq!((DESCRIPTORS_OF_PROCESS, DESCRIPTORS_OF_SHARD), (160, 32));
        assert_eq!((CONNECTIONS_MIN, REQUEST_BYTES_MIN), (8, 1 << 20));
        assert_eq!((WAL_BYTES, WAL_BYTES_MIN), (16 << 30, 64 << 20));
        assert!((COMMIT_INTERVAL_MS - 10.0).abs() < f64::EPSILON);
    }
}
