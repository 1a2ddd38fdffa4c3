//! Makes up a host, a folder that stands for `/` with probes to it, and has it examined. The good one is what
//! each test begins with and spoils.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checks::examine;
use crate::finding::{Finding, Verdict};
use crate::kernel::Clock;
use crate::probe::{Disk, Probed, Syncs};
use crate::root::Root;

/// A host to be examined.
pub(super) struct Made {
    pub(super) folder: tempfile::TempDir,
    pub(super) probed: Probed,
    shards: Option<usize>,
}

/// What is said of it.
pub(super) struct Said(pub(super) Vec<Finding>);

pub(super) const STATUS: &str =
    "Name:\tspanmill\nCpus_allowed_list:\t0-3\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
pub(super) const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
    Max open files            1048576              1048576              files\n\
    Max locked memory         unlimited            unlimited            bytes\n";
pub(super) const INTERRUPTS: &str = "            CPU0  CPU1  CPU2  CPU3\n\
    40: 1 0 0 0 PCI-MSI 0-edge eth0-rx-0\n 41: 0 1 0 0 PCI-MSI 1-edge eth0-rx-1\n\
    42: 0 0 1 0 PCI-MSI 2-edge eth0-rx-2\n 43: 0 0 0 1 PCI-MSI 3-edge eth0-rx-3\n\
    44: 0 0 0 1 PCI-MSI 4-edge nvme0q1\nNMI: 0 0 0 0 Non-maskable interrupts\n";
pub(super) const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
    eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
pub(super) const MOUNTS: &str = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
    30 21 8:17 / /data rw,noatime shared:2 - xfs /dev/sdb1 rw,inode64\n";

impl Made {
    /// Four cores of its own, everything as the README says.
    pub(super) fn good() -> Made {
        let made = Made {
            folder: tempfile::tempdir().unwrap(),
            probed: Probed {
                io_uring: Ok(()),
                clock: Ok(Clock {
                    synchronised: true,
                    error_us_max: 900,
                }),
                disk: Disk {
                    folder: PathBuf::from("/data/spanmill/wal"),
                    free: Ok(100 << 30),
                    syncs: Ok(Syncs {
                        count: 64,
                        p50_ms: 0.2,
                        p99_ms: 0.9,
                    }),
                },
            },
            shards: None,
        };
        let files = [
            ("proc/sys/kernel/osrelease", "6.12.8-amd64\n"),
            ("proc/sys/kernel/io_uring_disabled", "0\n"),
            ("proc/self/status", STATUS),
            ("proc/self/limits", LIMITS),
            ("proc/self/cgroup", "0::/system.slice/spanmill.service\n"),
            ("proc/self/mountinfo", MOUNTS),
            (
                "proc/meminfo",
                "MemTotal:       67108864 kB\nMemFree: 1 kB\n",
            ),
            ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
            ("proc/interrupts", INTERRUPTS),
            ("proc/net/route", ROUTE),
            ("proc/sys/net/core/somaxconn", "4096\n"),
            ("proc/sys/net/core/rmem_max", "212992\n"),
            ("proc/sys/net/core/wmem_max", "212992\n"),
            ("proc/sys/net/core/rps_sock_flow_entries", "0\n"),
            ("proc/sys/net/ipv4/tcp_max_syn_backlog", "4096\n"),
            ("proc/sys/net/ipv4/tcp_syncookies", "1\n"),
            ("proc/sys/net/ipv4/tcp_moderate_rcvbuf", "1\n"),
            ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
            ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/sys/vm/overcommit_memory", "0\n"),
            (
                "sys/fs/cgroup/system.slice/spanmill.service/cpu.max",
                "max 100000\n",
            ),
            (
                "sys/fs/cgroup/system.slice/spanmill.service/memory.max",
                "max\n",
            ),
            (
                "sys/kernel/mm/transparent_hugepage/enabled",
                "always [madvise] never\n",
            ),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/devices/system/cpu/isolated", "\n"),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "tsc\n",
            ),
            (
                "sys/devices/system/clocksource/clocksource0/available_clocksource",
                "tsc hpet acpi_pm\n",
            ),
        ];
        let mut made = files
            .into_iter()
            .fold(made, |made, (path, text)| made.with(path, text));
        for cpu in 0..4 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}");
            made = made
                .with(
                    &format!("{folder}/cpufreq/scaling_governor"),
                    "performance\n",
                )
                .with(
                    &format!("{folder}/topology/thread_siblings_list"),
                    &format!("{cpu}\n"),
                )
                .with(
                    &format!("sys/class/net/eth0/queues/rx-{cpu}/rps_cpus"),
                    "0\n",
                )
                .with(
                    &format!("proc/irq/{}/effective_affinity_list", 40 + cpu),
                    &format!("{cpu}\n"),
                );
        }
        made
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn with(self, path: &str, text: &str) -> Made {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
        self
    }

    pub(super) fn without(self, path: &str) -> Made {
        let at = self.path(path);
        match at.is_dir() {
            true => fs::remove_dir_all(at).unwrap(),
            false => fs::remove_file(at).unwrap(),
        }
        self
    }

    /// All its files.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files
    }

    pub(super) fn shards(mut self, shards: usize) -> Made {
        self.shards = Some(shards);
        self
    }

    pub(super) fn says(&self) -> Said {
        let root = Root::new(self.folder.path());
        let wal_dir = Path::new("/data/spanmill/wal");
        Said(examine(&root, &self.probed, wal_dir, self.shards).findings)
    }
}

impl Said {
    pub(super) fn all(&self, verdict: Verdict) -> Vec<&str> {
        let same = self.0.iter().filter(|f| f.judgement.verdict == verdict);
        same.map(|finding| finding.check).collect()
    }

    /// The check's verdict, and its words: what was seen and what to do.
    pub(super) fn of(&self, check: &str) -> (Verdict, String) {
        let finding = self.0.iter().find(|finding| finding.check == check);
        let judgement = &finding.expect("a check of this name").judgement;
        let change = judgement.change.as_ref();
        let change = change.map_or_else(String::new, |change| {
            format!(" | {} | {} | {}", change.what, change.command, change.why)
        });
        (judgement.verdict, judgement.seen.clone() + &change)
    }

    /// That the check says so, in words among which these are.
    pub(super) fn has(&self, check: &str, verdict: Verdict, words: &str) {
        let (said, text) = self.of(check);
        assert_eq!(said, verdict, "{check}: {text}");
        assert!(text.contains(words), "{check}: {text}");
    }
}
