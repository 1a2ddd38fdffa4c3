//! Takes a controller's name, and hands out what its files say in this process's cgroup and in all around it,
//! for both versions of cgroups. It draws no conclusions.

use std::path::Path;

use crate::root::Root;

const MOUNTS: &str = "sys/fs/cgroup";

/// A file of a cgroup.
pub(crate) struct Limit {
    /// From the root on, without the first `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The files `v2` (version 2) or `v1` (version 1) of the controller. In a container the path of the cgroup may
/// be that of the host, of which only the root is mounted, so each folder on its way is looked into.
pub(crate) fn limits(root: &Root, controller: &str, v2: &str, v1: &str) -> Vec<Limit> {
    let own = root.text("proc/self/cgroup").unwrap_or_default();
    let mut limits = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let mounts = if kinds.is_empty() {
            vec![MOUNTS.to_owned()]
        } else if kinds.split(',').any(|kind| kind == controller) {
            // The folder is named after all controllers that are mounted together, with a link for each.
            vec![
                format!("{MOUNTS}/{controller}"),
                format!("{MOUNTS}/{kinds}"),
            ]
        } else {
            continue;
        };
        let file = if kinds.is_empty() { v2 } else { v1 };
        for folder in Path::new(path.trim_start_matches('/')).ancestors() {
            let found = mounts.iter().find_map(|mount| {
                let path = Path::new(mount).join(folder).join(file);
                let path = path.to_str()?.to_owned();
                let text = root.text(&path).ok()?;
                Some(Limit { path, text })
            });
            limits.extend(found);
        }
    }
    limits
}

/// CPUs' worth of time that the tightest quota leaves; none where there is no quota.
pub(crate) fn cpu_quota(root: &Root) -> Option<f64> {
    let quotas = limits(root, "cpu", "cpu.max", "cpu.cfs_quota_us");
    let quotas = quotas.iter().filter_map(|limit| {
        // `150000 100000` or `max 100000` in version 2; in version 1 the period has a file of its own.
        let mut words = limit.text.split_whitespace();
        let quota: f64 = words.next()?.parse().ok()?;
        let period: f64 = match words.next() {
            Some(period) => period.parse().ok()?,
            None => {
                let period = limit.path.replace("cfs_quota_us", "cfs_period_us");
                root.number(&period).ok()? as f64
            }
        };
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    });
    quotas.min_by(f64::total_cmp)
}

/// Bytes that the tightest limit on memory leaves; none where there is no limit.
pub(crate) fn memory(root: &Root) -> Option<u64> {
    let limits = limits(root, "memory", "memory.max", "memory.limit_in_bytes");
    let limits = limits
        .iter()
        .filter_map(|limit| limit.text.trim().parse().ok());
    // Version 1 writes "no limit" as the largest number of pages.
    limits.filter(|bytes: &u64| *bytes < 1 << 60).min()
}
