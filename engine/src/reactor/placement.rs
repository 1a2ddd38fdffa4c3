//! Which core each shard keeps to, by what this process may use and which of it the kernel leaves alone. It moves
//! no thread itself.

use std::fs;
use std::path::Path;

use crate::config::Pin;

/// More than any Linux is built for: a longer list is no list.
const CORES_MAX: usize = 1 << 14;

/// The core of each shard, or none where the scheduler places them.
///
/// Shards have a core each where they are as many as the usable ones. With fewer, as under a CPU quota, every
/// engine on the machine would choose the same first ones, so they are not kept to any. Isolated cores are
/// different: the kernel moves nothing from or to them, so that shards that it places all stay where the process
/// began, on one. There they are dealt out, before other cores are.
#[must_use]
pub fn cores(pin: Pin, shards: usize, usable: &[usize], isolated: &[usize]) -> Option<Vec<usize>> {
    let is_isolated = |core: &usize| isolated.contains(core);
    let pinned = match pin {
        Pin::Never => false,
        Pin::Always => true,
        Pin::Auto => shards == usable.len() || usable.iter().any(is_isolated),
    };
    if !pinned || usable.is_empty() {
        return None;
    }
    let mut cores = usable.to_vec();
    cores.sort_by_key(|core| !is_isolated(core));
    Some(cores.into_iter().cycle().take(shards).collect())
}

/// Those of the usable cores that the kernel does not balance, by the files below `root` (`/`): isolated at boot
/// (`isolcpus`), or by a cgroup that is an isolated partition. What cannot be read isolates nothing.
#[must_use]
pub fn isolated_cores(root: &Path, usable: &[usize]) -> Vec<usize> {
    if in_isolated_partition(root) {
        return usable.to_vec();
    }
    let list = fs::read_to_string(root.join("sys/devices/system/cpu/isolated"));
    let isolated = list.ok().and_then(|list| parse(&list)).unwrap_or_default();
    let usable = usable.iter().copied();
    usable.filter(|core| isolated.contains(core)).collect()
}

/// Whether this process's cgroup (version 2), or the nearest around it that is a partition, is an isolated one.
/// In a container the path may be that of the host, of which only the root is mounted.
fn in_isolated_partition(root: &Path) -> bool {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    let path = Path::new(path.unwrap_or_default().trim_start_matches('/'));
    let mut kinds = path.ancestors().filter_map(|folder| {
        let folder = root.join("sys/fs/cgroup").join(folder);
        fs::read_to_string(folder.join("cpuset.cpus.partition")).ok()
    });
    // One that is broken says `isolated invalid (why)`, and its cores are as those around it.
    let own = kinds.find(|kind| matches!(kind.trim(), "root" | "isolated"));
    own.is_some_and(|kind| kind.trim() == "isolated")
}

/// A list in the kernel's writing, such as `0-3,8`.
fn parse(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= CORES_MAX {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: two containers on one machine had a quota of one core each and no cores of their own, and both
    /// kept their only shard to core 0.
    /// Guarantee: by default a shard keeps to a core only where the shards have all usable cores, one each.
    #[test]
    fn shards_keep_to_cores_only_when_they_have_all() {
        assert_eq!(cores(Pin::Auto, 1, &[0, 1, 2], &[]), None);
        assert_eq!(cores(Pin::Auto, 2, &[4, 6], &[]), Some(vec![4, 6]));
        assert_eq!(cores(Pin::Auto, 2, &[3], &[]), None);
    }

    /// Scenario: a process that may use isolated cores, others besides, fewer than it has shards, or none at all;
    /// and settings that say what to do.
    /// Guarantee: isolated cores are dealt out first, in turns when there are too few; a setting is kept.
    #[test]
    fn isolated_cores_are_dealt_out() {
        assert_eq!(
            cores(Pin::Auto, 2, &[4, 5, 6], &[4, 5, 6]),
            Some(vec![4, 5])
        );
        assert_eq!(
            cores(Pin::Auto, 3, &[0, 1, 2, 3], &[2, 3]),
            Some(vec![2, 3, 0])
        );
        assert_eq!(cores(Pin::Auto, 3, &[4, 5], &[4, 5]), Some(vec![4, 5, 4]));
        assert_eq!(cores(Pin::Auto, 1, &[0, 1], &[7]), None);
        assert_eq!(cores(Pin::Never, 2, &[4, 5], &[4, 5]), None);
        assert_eq!(cores(Pin::Always, 1, &[2, 3], &[]), Some(vec![2]));
        assert_eq!(cores(Pin::Always, 1, &[], &[]), None);
    }

    /// Scenario: hosts with cores isolated at boot, by a partition around the process's cgroup, by one that is
    /// broken, behind one that balances, and with files that say nothing.
    /// Guarantee: only usable cores that are isolated are found.
    #[test]
    fn isolated_cores_are_found() {
        let found = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            isolated_cores(root.path(), &[1, 2, 3])
        };
        let boot = "sys/devices/system/cpu/isolated";
        assert!(found(&[]).is_empty());
        for nothing in ["\n", "(null)\n", "3-x", "0-99999999999"] {
            assert!(found(&[(boot, nothing)]).is_empty(), "{nothing}");
        }
        assert_eq!(found(&[(boot, "2-5,7\n")]), [2, 3]);

        let own = ("proc/self/cgroup", "0::/a/b\n");
        let of_a = "sys/fs/cgroup/a/cpuset.cpus.partition";
        let of_b = "sys/fs/cgroup/a/b/cpuset.cpus.partition";
        assert_eq!(
            found(&[own, (of_a, "isolated\n"), (of_b, "member\n")]),
            [1, 2, 3]
        );
        assert!(found(&[own, (of_a, "isolated invalid (no cpus)\n")]).is_empty());
        assert!(found(&[own, (of_a, "isolated\n"), (of_b, "root\n")]).is_empty());
    }
}
