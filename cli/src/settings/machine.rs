//! Looks at what the kernel says about memory, and hands out how much of it this process can have: what the
//! machine has, or what the tightest of its cgroups leaves it. It knows no settings.

use std::fs;
use std::path::Path;

/// Bytes of memory that this process can have; `None` when the kernel tells nothing.
pub(super) fn usable_memory() -> Option<u64> {
    usable_below(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn usable_below(proc: &Path, cgroups: &Path) -> Option<u64> {
    let machine = fs::read_to_string(proc.join("meminfo")).ok();
    let machine = machine.and_then(|text| total(&text));
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let limits = own
        .lines()
        .filter_map(|line| limit_of_line(line, cgroups))
        .min();
    machine.into_iter().chain(limits).min()
}

/// `MemTotal:  24684428 kB`
fn total(meminfo: &str) -> Option<u64> {
    let rest = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The limit of a cgroup and of all those around it: `0::/path` (version 2) or `7:memory:/path`.
fn limit_of_line(line: &str, cgroups: &Path) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, kinds, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = if kinds.is_empty() {
        (cgroups.to_owned(), "memory.max")
    } else if kinds.split(',').any(|kind| kind == "memory") {
        (cgroups.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be that of the host, of which only the root is mounted.
    let path = Path::new(path.trim_start_matches('/'));
    let limits = path.ancestors().filter_map(|folder| {
        let text = fs::read_to_string(root.join(folder).join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cgroup: &str, files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let all = [
            ("proc/meminfo", "MemTotal:  4096 kB\nMemFree: 1 kB\n"),
            ("proc/self/cgroup", cgroup),
        ];
        for (path, text) in all.iter().chain(files) {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        }
        usable_below(&at("proc"), &at("cgroup"))
    }

    /// Scenario: a machine without cgroups, with limits of either version on the process's own cgroup, on one
    /// around it, and on the root alone; and with such as are no limit.
    /// Guarantee: the least of what is said counts.
    #[test]
    fn the_tightest_limit_counts() {
        const MIB: u64 = 1 << 20;
        assert_eq!(machine("", &[]), Some(4 * MIB));
        let own = [("cgroup/a/b/memory.max", "1048576\n")];
        assert_eq!(machine("0::/a/b\n", &own), Some(MIB));
        let around = [
            ("cgroup/a/b/memory.max", "max\n"),
            ("cgroup/a/memory.max", "2097152\n"),
        ];
        assert_eq!(machine("0::/a/b\n", &around), Some(2 * MIB));
        let root = [("cgroup/memory.max", "1048576\n")];
        assert_eq!(machine("0::/host/path\n", &root), Some(MIB));
        let first = [("cgroup/memory/c/memory.limit_in_bytes", "1048576\n")];
        assert_eq!(machine("3:cpu:/c\n2:memory:/c\n0::/\n", &first), Some(MIB));
        let none = [(
            "cgroup/memory/c/memory.limit_in_bytes",
            "9223372036854771712\n",
        )];
        assert_eq!(machine("2:memory:/c\n", &none), Some(4 * MIB));
    }
}
