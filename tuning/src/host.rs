//! What several checks need to know of a host, read once: its CPUs, its memory, how many shards there will be.

use std::path::Path;

use spanmill_engine::MemoryPlan;

use crate::cgroup;
use crate::cpus;
use crate::probe::Probed;
use crate::root::{Root, Unread};

/// A host, as checks see it.
pub(crate) struct Host<'a> {
    pub(crate) root: &'a Root,
    pub(crate) probed: &'a Probed,
    /// `wal_dir`.
    pub(crate) wal_dir: &'a Path,
    /// As asked for, or as the engine would choose: the usable CPUs within the quota.
    pub(crate) shards: usize,
    /// CPUs' worth of time that a cgroup allows.
    pub(crate) quota: Option<f64>,
}

impl Host<'_> {
    pub(crate) fn new<'a>(
        root: &'a Root,
        probed: &'a Probed,
        wal_dir: &'a Path,
        shards: Option<usize>,
    ) -> Host<'a> {
        let quota = cgroup::cpu_quota(root);
        let usable = usable_cpus(root).map_or(1, |cpus| cpus.len());
        // As the engine's default does: a quota is rounded down, and never below one.
        let granted = quota.map_or(usable, |quota| usable.min(quota as usize));
        Host {
            root,
            probed,
            wal_dir,
            shards: shards.unwrap_or(granted).max(1),
            quota,
        }
    }

    /// `1 shard`, `4 shards`
    pub(crate) fn shards_in_words(&self) -> String {
        match self.shards {
            1 => "1 shard".to_owned(),
            shards => format!("{shards} shards"),
        }
    }

    /// The CPUs that this process may run on, in order.
    pub(crate) fn usable_cpus(&self) -> Result<Vec<usize>, Unread> {
        usable_cpus(self.root)
    }

    /// Bytes that the engine takes by default.
    pub(crate) fn memory_max(&self) -> u64 {
        MemoryPlan::default_memory(self.usable_memory().ok(), self.shards)
    }

    /// Bytes of memory that this process can have.
    pub(crate) fn usable_memory(&self) -> Result<u64, Unread> {
        let path = "proc/meminfo";
        let total = self.root.field(path, "MemTotal")?;
        let kib = total.strip_suffix("kB").map(str::trim);
        let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
        let bytes = kib.and_then(|kib| kib.checked_mul(1024));
        let bytes = bytes.ok_or_else(|| Unread::garbled(path, &total, "MemTotal in kB"))?;
        Ok(cgroup::memory(self.root).map_or(bytes, |limit| limit.min(bytes)))
    }

    /// Whether system calls of this process pass through a filter.
    pub(crate) fn filtered_by_seccomp(&self) -> Result<bool, Unread> {
        Ok(self.root.field("proc/self/status", "Seccomp")? == "2")
    }
}

fn usable_cpus(root: &Root) -> Result<Vec<usize>, Unread> {
    let path = "proc/self/status";
    let list = root.field(path, "Cpus_allowed_list")?;
    let cpus = cpus::parse(&list).filter(|cpus| !cpus.is_empty());
    cpus.ok_or_else(|| Unread::garbled(path, &list, "a list of CPUs"))
}
