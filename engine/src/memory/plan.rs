//! Takes how much memory the process may use, and hands out what each part of a shard may: first what a shard
//! takes whatever is sent to it, and of the rest, what strangers may fill. Plain arithmetic; it measures nothing.

use std::ops::RangeInclusive;

use crate::limits::{
    ALLOCATOR_PART, BATCH_BYTES, CODEC_BYTES, COLUMNS_KEPT_BYTES, CONNECTION_BYTES,
    CONNECTIONS_MAX, CONNECTIONS_MIN, KEPT_BYTES, MEMORY_BYTES, MEMORY_BYTES_PER_SHARD,
    MEMORY_PART, PROCESS_BYTES, READ_AHEAD_BYTES, RECENT_BYTES, REQUEST_PART, RESOURCES_BYTES,
    SERIES_BUCKET_BYTES, SERIES_BUCKETS, SERIES_MAX, ZSTD_WINDOW_LOGS,
};

/// What a process of so much memory gives to each of its shards; see `limits.rs` for the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes that may hold what strangers send: bodies, columns, chunks. Beyond it nothing more is read.
    pub hard: usize,
    /// Connections that a shard serves at a time.
    pub connections: usize,
    /// Compressed bytes of the batch in flight; what it takes beyond them counts towards `hard`.
    pub(crate) batch_bytes: usize,
    /// Bytes of logged chunks that are kept until their batch is due.
    pub(crate) recent_bytes: usize,
    /// Bytes of body buffers that are kept for reuse.
    pub(crate) kept_bytes: usize,
    /// Bytes of column buffers that are kept for reuse.
    pub(crate) columns_kept_bytes: usize,
    /// Bytes that resources are remembered in.
    pub(crate) resources_bytes: usize,
    /// Series that are remembered.
    pub(crate) series: usize,
    /// Bytes that are read from sockets before those have a turn that take them over.
    pub(crate) read_ahead_bytes: usize,
    /// Logarithm of the window that a zstd frame may ask for.
    pub(crate) zstd_window_log: u32,
}

impl MemoryPlan {
    /// Bytes that a process of so many shards takes when no setting says: a part of what it can have of the
    /// machine or its cgroup, where that is known, but never less or more than is of use.
    #[must_use]
    pub fn default_memory(usable: Option<u64>, shards: usize) -> u64 {
        let (least, most) = MEMORY_BYTES.into_inner();
        let most = most.max(MEMORY_BYTES_PER_SHARD * shards as u64);
        usable.map_or(least, |usable| (usable / MEMORY_PART).clamp(least, most))
    }

    /// The plan for a process that may take `memory_max` bytes. With too few of them for a shard to be of use,
    /// `hard` is 0: see [`MemoryPlan::request_bytes_max`].
    #[must_use]
    pub fn new(memory_max: usize, shards: usize) -> MemoryPlan {
        let own = memory_max / ALLOCATOR_PART + PROCESS_BYTES;
        let share = memory_max.saturating_sub(own) / shards.max(1);
        let part = |divisor: usize, range: RangeInclusive<usize>| {
            (share / divisor).clamp(*range.start(), *range.end())
        };
        let batch_bytes = part(16, BATCH_BYTES);
        let recent_bytes = part(16, RECENT_BYTES);
        let kept_bytes = part(64, KEPT_BYTES);
        let columns_kept_bytes = part(20, COLUMNS_KEPT_BYTES);
        let resources_bytes = part(32, RESOURCES_BYTES);
        let read_ahead_bytes = part(50, READ_AHEAD_BYTES);
        let buckets = part(16 * SERIES_BUCKET_BYTES, SERIES_BUCKETS);
        let buckets = 1 << buckets.ilog2();
        let connections = part(5 * CONNECTION_BYTES, CONNECTIONS_MIN..=CONNECTIONS_MAX);
        let window = (share / 8).max(1).ilog2();
        let window = window.clamp(*ZSTD_WINDOW_LOGS.start(), *ZSTD_WINDOW_LOGS.end());
        let fixed = CODEC_BYTES
            + (1 << window)
            + batch_bytes
            + recent_bytes
            + kept_bytes
            + columns_kept_bytes
            + resources_bytes
            + read_ahead_bytes
            + buckets * SERIES_BUCKET_BYTES
            + connections * CONNECTION_BYTES;
        MemoryPlan {
            hard: share.saturating_sub(fixed),
            connections,
            batch_bytes,
            recent_bytes,
            kept_bytes,
            columns_kept_bytes,
            resources_bytes,
            series: (buckets / 8 * 7).min(SERIES_MAX),
            read_ahead_bytes,
            zstd_window_log: window,
        }
    }

    /// The largest request that a shard can take with nothing else in it: its body, and its columns while
    /// they grow.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        self.hard / REQUEST_PART
    }

    /// The least memory of a process of so many shards that takes requests of `request_bytes` bytes.
    #[must_use]
    pub fn least_memory(request_bytes: usize, shards: usize) -> usize {
        const STEP: usize = 1 << 20;
        let fits =
            |mib: usize| MemoryPlan::new(mib * STEP, shards).request_bytes_max() >= request_bytes;
        // More memory never makes room for less, but for steps of sizes that double; the end is sure to fit.
        let (mut low, mut high) = (0, 1);
        while !fits(high) {
            (low, high) = (high, high * 2);
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high * STEP
    }

    /// Where large requests are no longer begun: half of what there is.
    pub(crate) fn soft(&self) -> usize {
        self.hard / 2
    }

    /// Where large requests can no longer grow: an eighth is left to small ones.
    pub(crate) fn large(&self) -> usize {
        self.hard - self.hard / 8
    }

    /// Where even small requests are no longer begun, so that those that are can end.
    pub(crate) fn small(&self) -> usize {
        self.hard - self.hard / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: machines with plenty of memory, from one core to 256, and no setting.
    /// Guarantee: the engine starts, and takes requests of 4 MiB at least, which senders keep below; few
    /// shards do not take more for it.
    #[test]
    fn large_machines_need_no_setting() {
        for shards in [1, 2, 16, 48, 64, 128, 256] {
            let memory = MemoryPlan::default_memory(Some(1 << 40), shards);
            let plan = MemoryPlan::new(memory as usize, shards);
            assert!(plan.request_bytes_max() >= 4 << 20, "{shards}: {plan:?}");
            assert!(memory == 2 << 30 || shards > 32, "{shards}: {memory}");
        }
    }

    /// Scenario: processes from a small container to a large machine, of one shard to 64.
    /// Guarantee: what the plan gives out is within what there is, with room for the process itself.
    #[test]
    fn parts_stay_within_the_whole() {
        for mib in [64, 128, 256, 512, 1024, 2048, 65536] {
            for shards in [1, 2, 8, 64] {
                let plan = MemoryPlan::new(mib << 20, shards);
                if plan.hard == 0 {
                    continue;
                }
                let each = plan.hard
                    + plan.connections * CONNECTION_BYTES
                    + plan.batch_bytes
                    + plan.recent_bytes
                    + plan.kept_bytes
                    + plan.columns_kept_bytes
                    + plan.resources_bytes
                    + plan.read_ahead_bytes
                    + (1 << plan.zstd_window_log)
                    + plan.series * SERIES_BUCKET_BYTES
                    + CODEC_BYTES;
                assert!(each * shards + PROCESS_BYTES <= mib << 20, "{mib} {shards}");
            }
        }
    }

    /// Scenario: the least memory for requests of several sizes, and a MiB less.
    /// Guarantee: the first is enough, the second is not.
    #[test]
    fn the_least_memory_is_enough() {
        for request in [1 << 10, 1 << 20, 64 << 20, 1 << 30] {
            for shards in [1, 3, 16] {
                let least = MemoryPlan::least_memory(request, shards);
                let most = |memory| MemoryPlan::new(memory, shards).request_bytes_max();
                assert!(most(least) >= request, "{request} {shards}");
                assert!(most(least - (1 << 20)) < request, "{request} {shards}");
            }
        }
    }
}
