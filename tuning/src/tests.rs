//! Made-up hosts: what each check says of a folder that stands for `/` and of made-up probes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checks::examine;
use crate::finding::{Finding, Verdict};
use crate::kernel::Clock;
use crate::probe::{Disk, Probed, Syncs};
use crate::root::Root;

/// A host to be examined.
struct Made {
    folder: tempfile::TempDir,
    probed: Probed,
    shards: Option<usize>,
}

/// What is said of it.
struct Said(Vec<Finding>);

const STATUS: &str =
    "Name:\tspanmill\nCpus_allowed_list:\t0-3\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
    Max open files            1048576              1048576              files\n\
    Max locked memory         unlimited            unlimited            bytes\n";
const INTERRUPTS: &str = "            CPU0  CPU1  CPU2  CPU3\n\
    40: 1 0 0 0 PCI-MSI 0-edge eth0-rx-0\n 41: 0 1 0 0 PCI-MSI 1-edge eth0-rx-1\n\
    42: 0 0 1 0 PCI-MSI 2-edge eth0-rx-2\n 43: 0 0 0 1 PCI-MSI 3-edge eth0-rx-3\n\
    44: 0 0 0 1 PCI-MSI 4-edge nvme0q1\nNMI: 0 0 0 0 Non-maskable interrupts\n";
const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
    eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
const MOUNTS: &str = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
    30 21 8:17 / /data rw,noatime shared:2 - xfs /dev/sdb1 rw,inode64\n";

impl Made {
    /// Four cores of its own, everything as the README says.
    fn good() -> Made {
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

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn with(self, path: &str, text: &str) -> Made {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Made {
        let at = self.path(path);
        match at.is_dir() {
            true => fs::remove_dir_all(at).unwrap(),
            false => fs::remove_file(at).unwrap(),
        }
        self
    }

    fn shards(mut self, shards: usize) -> Made {
        self.shards = Some(shards);
        self
    }

    fn says(&self) -> Said {
        let root = Root::new(self.folder.path());
        let wal_dir = Path::new("/data/spanmill/wal");
        Said(examine(&root, &self.probed, wal_dir, self.shards).findings)
    }
}

impl Said {
    fn all(&self, verdict: Verdict) -> Vec<&str> {
        let same = self.0.iter().filter(|f| f.judgement.verdict == verdict);
        same.map(|finding| finding.check).collect()
    }

    /// The check's verdict, and its words: what was seen and what to do.
    fn of(&self, check: &str) -> (Verdict, String) {
        let finding = self.0.iter().find(|finding| finding.check == check);
        let judgement = &finding.expect("a check of this name").judgement;
        let change = judgement.change.as_ref();
        let change = change.map_or_else(String::new, |change| {
            format!(" | {} | {} | {}", change.what, change.command, change.why)
        });
        (judgement.verdict, judgement.seen.clone() + &change)
    }

    /// That the check says so, in words among which these are.
    fn has(&self, check: &str, verdict: Verdict, words: &str) {
        let (said, text) = self.of(check);
        assert_eq!(said, verdict, "{check}: {text}");
        assert!(text.contains(words), "{check}: {text}");
    }
}

/// Scenario: a bare-metal host on which everything is as it should be.
/// Guarantee: every check says so, and none has advice.
#[test]
fn a_good_host_is_left_alone() {
    let said = Made::good().says();
    let others: Vec<_> = said
        .0
        .iter()
        .filter(|f| f.judgement.verdict != Verdict::Ok)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    said.has(
        "cpus",
        Verdict::Ok,
        "4 shards on CPUs 0-3, pinned one to one",
    );
    said.has("wal_filesystem", Verdict::Ok, "xfs, mounted on /data");
    said.has(
        "interrupts",
        Verdict::Ok,
        "4 interrupts of eth0 go to CPUs 0-3",
    );
}

/// Scenario: a container with the usual seccomp profile, a quota of 1.5 CPUs, 1 GiB, few descriptors, no
/// cpufreq, a network without a device, and its log in its own layer.
/// Guarantee: what the container limits is advice with the reason, what only its host knows is unknown, and
/// nothing is a problem.
#[test]
fn a_container_is_told_what_limits_it() {
    let mut made = Made::good()
        .with(
            "proc/self/status",
            &STATUS.replace("Seccomp:\t0", "Seccomp:\t2"),
        )
        .with(
            "proc/self/limits",
            &LIMITS
                .replace("1048576 ", "1024 ")
                .replace("unlimited", "65536"),
        )
        .with("proc/self/cgroup", "0::/\n")
        .with("sys/fs/cgroup/cpu.max", "150000 100000\n")
        .with("sys/fs/cgroup/memory.max", "1073741824\n")
        .with(
            "proc/self/mountinfo",
            "40 30 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a\n",
        )
        .with("proc/interrupts", "  CPU0\n 44: 1 PCI-MSI 4-edge nvme0q1\n");
    for cpu in 0..4 {
        made = made.without(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq"));
    }
    made.probed.io_uring = Err(libc::EPERM);
    let said = made.says();
    said.has(
        "io_uring",
        Verdict::Advice,
        "forbidden by a seccomp profile",
    );
    said.has("memlock", Verdict::Advice, "ulimit -l 512, as root");
    said.has("nofile", Verdict::Advice, "ulimit -n");
    said.has(
        "cpu_quota",
        Verdict::Advice,
        "1.50 CPUs' time on 4 CPUs, to 1 shards",
    );
    said.has("cpus", Verdict::Advice, "taskset -c 3");
    said.has("cpu_governor", Verdict::Unknown, "no cpufreq");
    said.has("interrupts", Verdict::Unknown, "look on the host");
    said.has(
        "memory",
        Verdict::Ok,
        "1.0G usable, of which the engine takes at most 256M",
    );
    said.has(
        "wal_filesystem",
        Verdict::Advice,
        "the log goes with the container",
    );
    assert_eq!(said.all(Verdict::Problem), Vec::<&str>::new());
}

/// Scenario: a VM with one receive queue, a virtio network card, two hardware threads a core, an unkept clock on
/// hpet, always huge pages and a powersave governor.
/// Guarantee: each is advice with a command that names the CPUs, interrupts and queues of this very host.
#[test]
fn a_vm_is_told_what_slows_it() {
    let mut made = Made::good()
        .with("proc/interrupts", "  CPU0\n 37: 0 x virtio2-config\n 38: 1 x virtio2-input.0\n 39: 1 x virtio2-output.0\n")
        .with("proc/irq/38/smp_affinity_list", "0-3\n")
        .with("proc/irq/39/smp_affinity_list", "0-3\n")
        .with("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n")
        .with("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")
        .with("sys/devices/system/clocksource/clocksource0/available_clocksource", "kvm-clock hpet\n")
        .with("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave\n");
    for cpu in 0..4 {
        let pair = ["0-1", "0-1", "2-3", "2-3"][cpu];
        made = made.with(
            &format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"),
            pair,
        );
    }
    for queue in 1..4 {
        made = made.without(&format!("sys/class/net/eth0/queues/rx-{queue}"));
    }
    std::os::unix::fs::symlink("../../../virtio2", made.path("sys/class/net/eth0/device")).unwrap();
    made.probed.clock = Ok(Clock {
        synchronised: false,
        error_us_max: 16_000_000,
    });
    let said = made.says();
    said.has(
        "interrupts",
        Verdict::Ok,
        "2 interrupts of eth0 go to CPUs 0-3",
    );
    said.has(
        "packet_steering",
        Verdict::Advice,
        "echo 0000000f > $q/rps_cpus",
    );
    said.has("cpu_siblings", Verdict::Advice, "taskset -c 0,2");
    said.has("cpu_governor", Verdict::Advice, "powersave on CPUs 2");
    said.has("huge_pages", Verdict::Advice, "echo madvise >");
    said.has("clock_source", Verdict::Advice, "echo kvm-clock >");
    said.has("clock_sync", Verdict::Advice, "chrony");
    let few = Made::good().without("proc/net/route").says();
    few.has("interrupts", Verdict::Unknown, "no default route");
}

/// Scenario: a kernel older than io_uring's needs, one whose administrator forbids it, and a security module.
/// Guarantee: advice with the way out, never a problem, because epoll runs.
#[test]
fn an_old_or_strict_kernel_means_epoll() {
    let mut made = Made::good()
        .with("proc/sys/kernel/osrelease", "4.18.0-553.el8\n")
        .without("proc/sys/kernel/io_uring_disabled");
    made.probed.io_uring = Err(libc::ENOSYS);
    let said = made.says();
    said.has("kernel", Verdict::Advice, "run Linux 5.8 or newer");
    said.has("io_uring", Verdict::Advice, "this kernel has no io_uring");
    let mut made = Made::good().with("proc/sys/kernel/io_uring_disabled", "2\n");
    made.probed.io_uring = Err(libc::EPERM);
    made.says()
        .has("io_uring", Verdict::Advice, "kernel.io_uring_disabled is 2");
    made = made.with("proc/sys/kernel/io_uring_disabled", "0\n");
    made.says()
        .has("io_uring", Verdict::Advice, "a security module");
    made.probed.io_uring = Err(libc::EMFILE);
    made.says()
        .has("io_uring", Verdict::Unknown, "io_uring_setup failed");
}

/// Scenario: cgroups of version 1, with controllers mounted together, and limits on a group further out.
/// Guarantee: quota and memory are found as with version 2, and "no limit" is none.
#[test]
fn cgroups_of_version_1_count() {
    let made = Made::good()
        .with(
            "proc/self/cgroup",
            "5:memory:/a/b\n4:cpu,cpuacct:/a/b\n0::/\n",
        )
        .with("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n")
        .with("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n")
        .with("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
        .with(
            "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "9223372036854771712\n",
        )
        .with(
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "134217728\n",
        );
    let said = made.says();
    said.has(
        "cpu_quota",
        Verdict::Advice,
        "2.50 CPUs' time on 4 CPUs, to 2 shards",
    );
    said.has("cpus", Verdict::Advice, "2 shards on CPUs 0-3, not pinned");
    said.has("memory", Verdict::Problem, "128.0M usable");
    let made = made
        .with("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "400000\n")
        .without("sys/fs/cgroup/memory/a/memory.limit_in_bytes");
    let said = made.says();
    said.has("cpu_quota", Verdict::Ok, "4.00 CPUs");
    said.has("memory", Verdict::Ok, "64.0G usable");
}

/// Scenario: more and fewer shards than CPUs, on CPUs that are isolated and on others.
/// Guarantee: it says when the engine pins none, and that isolated CPUs without pinning are a problem.
#[test]
fn shards_that_are_not_pinned_are_told_so() {
    let said = |shards, isolated| {
        let made = Made::good().with("sys/devices/system/cpu/isolated", isolated);
        made.shards(shards).says()
    };
    said(2, "\n").has("cpus", Verdict::Advice, "taskset -c 2-3");
    said(8, "\n").has("cpus", Verdict::Advice, "spanmill --shards 4");
    said(2, "0-3\n").has("cpus", Verdict::Problem, "all stay on one");
    said(4, "2-3\n").has("cpus", Verdict::Ok, "isolated 2-3");
    said(4, "2-3\n").has(
        "interrupts",
        Verdict::Advice,
        "echo 0 > /proc/irq/40/smp_affinity_list; echo 1 >",
    );
}

/// Scenario: all interrupts of a card with many queues come to one CPU.
/// Guarantee: the command spreads them.
#[test]
fn interrupts_on_one_cpu_are_spread() {
    let mut made = Made::good();
    for irq in 40..44 {
        made = made.with(&format!("proc/irq/{irq}/effective_affinity_list"), "0\n");
    }
    made.says().has(
        "interrupts",
        Verdict::Advice,
        "echo 3 > /proc/irq/43/smp_affinity_list",
    );
}

/// Scenario: logs on memory, behind a disk cache that is not emptied, on a mount for reading, on a slow disk, on
/// a full one, and in a folder that cannot be written.
/// Guarantee: what endangers acknowledged rows is a problem, what makes them wait is advice.
#[test]
fn a_log_that_keeps_nothing_is_a_problem() {
    let on = |kind: &str, options: &str| {
        let mounts = format!("{MOUNTS}31 30 0:9 / /data/spanmill rw - {kind} x {options}\n");
        Made::good().with("proc/self/mountinfo", &mounts).says()
    };
    on("tmpfs", "rw").has("wal_filesystem", Verdict::Problem, "in memory only");
    on("nfs4", "rw").has(
        "wal_filesystem",
        Verdict::Advice,
        "a round trip to a server",
    );
    on("wonderfs", "rw").has("wal_filesystem", Verdict::Unknown, "wonderfs");
    on("ext4", "rw,nobarrier").has("wal_mount", Verdict::Problem, "a loss of power");
    on("ext4", "rw,data=journal").has("wal_mount", Verdict::Advice, "done twice");
    on("ext4", "ro").has("wal_mount", Verdict::Problem, "cannot be written");
    let mut made = Made::good();
    made.probed.disk.syncs = Ok(Syncs {
        count: 64,
        p50_ms: 12.0,
        p99_ms: 90.0,
    });
    made.probed.disk.free = Ok(1 << 30);
    made.says()
        .has("wal_sync", Verdict::Advice, "p50 12.00 ms, p99 90.00 ms");
    made.says()
        .has("wal_space", Verdict::Advice, "--wal-bytes-max 921MiB");
    made.probed.disk.syncs = Err("Permission denied".to_owned());
    made.probed.disk.free = Ok(1 << 20);
    made.says()
        .has("wal_sync", Verdict::Problem, "Permission denied");
    made.says().has("wal_space", Verdict::Problem, "1.0M free");
    made.probed.disk.free = Err("no such device".to_owned());
    made.says()
        .has("wal_space", Verdict::Unknown, "no such device");
}

/// Scenario: small limits of sockets and memory, swap that is used early, and strict overcommit.
/// Guarantee: each has its advice; fewer descriptors than the engine itself takes are a problem.
#[test]
fn small_limits_are_named() {
    let said = Made::good()
        .with("proc/self/limits", &LIMITS.replace("1048576 ", "256     "))
        .with("proc/sys/net/core/somaxconn", "128\n")
        .with("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t1048576\n")
        .with("proc/sys/vm/overcommit_memory", "2\n")
        .with(
            "proc/swaps",
            "Filename\tType\tSize\tUsed\tPriority\n/dev/sdc partition 8 0 -2\n",
        )
        .says();
    said.has("nofile", Verdict::Problem, "256 descriptors");
    said.has("backlog", Verdict::Advice, "net.core.somaxconn=4096");
    said.has(
        "socket_memory",
        Verdict::Advice,
        "net.ipv4.tcp_rmem='4096 131072 4194304'",
    );
    said.has("overcommit", Verdict::Advice, "vm.overcommit_memory=0");
    said.has("swap", Verdict::Advice, "vm.swappiness=1");
    let strict = [
        ("proc/sys/net/ipv4/tcp_syncookies", "0\n"),
        ("proc/sys/net/ipv4/tcp_max_syn_backlog", "512\n"),
    ];
    let made = strict
        .into_iter()
        .fold(Made::good(), |made, (path, text)| made.with(path, text));
    made.says()
        .has("backlog", Verdict::Advice, "tcp_max_syn_backlog=4096");
    Made::good()
        .shards(64)
        .says()
        .has("memory", Verdict::Advice, "--memory-max");
}

/// Scenario: each file of a good host in turn is empty, binary, absurd, a folder, or not there; then all at once.
/// Guarantee: nothing panics, a check that cannot tell is unknown with a reason, and the others go on.
#[test]
fn garbage_is_unknown_and_never_a_panic() {
    let mut files = Vec::new();
    let mut folders = vec![Made::good().folder.keep()];
    let root = folders[0].clone();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(
                    path.strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                ),
            }
        }
    }
    fs::remove_dir_all(&root).unwrap();
    let texts: [&[u8]; 5] = [
        b"",
        b"\xff\xfe\0\0",
        b"banana: -1 - , ; 99999999999999999999999\n",
        b"-\n",
        b":::\n - \n",
    ];
    let spoil = |made: &Made, file: &str, text: &[u8]| fs::write(made.path(file), text).unwrap();
    for text in texts {
        let all = Made::good();
        for file in &files {
            let one = Made::good();
            spoil(&one, file, text);
            one.says();
            spoil(&all, file, text);
        }
        let said = all.says();
        let unknown = said.all(Verdict::Unknown);
        assert!(unknown.len() >= 14, "{unknown:?}");
    }
    for file in &files {
        Made::good().without(file).says();
        let made = Made::good().without(file);
        fs::create_dir(made.path(file)).unwrap();
        made.says();
    }
    let nothing = Made::good().without("proc").without("sys").says();
    nothing.has(
        "kernel",
        Verdict::Unknown,
        "/proc/sys/kernel/osrelease is not there",
    );
    let known = ["io_uring", "wal_space", "wal_sync", "clock_sync"];
    for finding in &nothing.0 {
        let is_known = known.contains(&finding.check);
        assert!(
            is_known || matches!(finding.judgement.verdict, Verdict::Unknown | Verdict::Ok),
            "{finding:?}"
        );
    }
}
