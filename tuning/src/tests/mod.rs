//! What each check says of made-up hosts: a good one, containers, virtual machines, old kernels, garbage.

mod made;

use std::fs;

use crate::finding::Verdict;
use crate::kernel::Clock;
use crate::probe::Syncs;
use made::{LIMITS, MOUNTS, Made, STATUS};

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
                .replace("1048576 ", "512 ")
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
        "1.50 CPUs' time on 4 CPUs, to 1 shard",
    );
    said.has("cpus", Verdict::Advice, "taskset -c 3");
    said.has("cpu_governor", Verdict::Unknown, "no cpufreq");
    said.has("interrupts", Verdict::Unknown, "look on the host");
    said.has(
        "memory",
        Verdict::Ok,
        "1.0G usable, of which the engine takes at most 256.0M by default",
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
    said.has("cpu_quota", Verdict::Advice, "AllowedCPUs=1-3");
    said.has("cpu_quota", Verdict::Advice, "rounds a quota down");
    said.has("cpus", Verdict::Advice, "2 shards on CPUs 0-3, not pinned");
    said.has("memory", Verdict::Problem, "128.0M usable");
    let made = made
        .with("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n")
        .without("sys/fs/cgroup/memory/a/memory.limit_in_bytes");
    let said = made.says();
    said.has("cpu_quota", Verdict::Ok, "3.00 CPUs");
    let more = made.shards(4).says();
    more.has("cpu_quota", Verdict::Advice, "all stop until the next");
    said.has("memory", Verdict::Ok, "64.0G usable");
}

/// Scenario: more and fewer shards than CPUs, on CPUs that are isolated and on others.
/// Guarantee: it says when the engine pins none, and that on isolated CPUs it pins as many shards as there are.
#[test]
fn shards_that_are_not_pinned_are_told_so() {
    let said = |shards, isolated| {
        let made = Made::good().with("sys/devices/system/cpu/isolated", isolated);
        made.shards(shards).says()
    };
    said(2, "\n").has("cpus", Verdict::Advice, "taskset -c 2-3");
    said(8, "\n").has("cpus", Verdict::Advice, "spanmill --shards 4");
    said(2, "2-3\n").has("cpus", Verdict::Ok, "are isolated, to [2, 3]");
    said(6, "0-3\n").has("cpus", Verdict::Advice, "spanmill --shards 4");
    let partition = Made::good()
        .with("proc/self/cgroup", "0::/own\n")
        .with("sys/fs/cgroup/own/cpuset.cpus.partition", "isolated\n");
    let said_there = partition.shards(1).says();
    said_there.has("cpus", Verdict::Ok, "are isolated, to [0]");
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
    on("ext4", "rw,data=journal").has("wal_mount", Verdict::Advice, "written twice");
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

/// Scenario: the low soft limit on open files of a usual shell, under the hard one of its host.
/// Guarantee: the hard one is what counts, because the engine raises the other to it.
#[test]
fn a_low_soft_limit_of_open_files_is_enough() {
    let limits = LIMITS.replacen("1048576 ", "1024    ", 1);
    let said = Made::good().with("proc/self/limits", &limits).says();
    said.has(
        "nofile",
        Verdict::Ok,
        "1048576 descriptors (soft limit 1024)",
    );
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
    let little = "MemTotal:        8388608 kB\n";
    let memory = |shards| {
        Made::good()
            .with("proc/meminfo", little)
            .shards(shards)
            .says()
    };
    memory(16).has("memory", Verdict::Ok, "16 shards can then take requests");
    memory(40).has("memory", Verdict::Advice, "--memory-max");
    memory(64).has("memory", Verdict::Problem, "with which it does not start");
    let plenty = Made::good().shards(64).says();
    plenty.has("memory", Verdict::Ok, "64 shards can then take requests");
}

/// Scenario: each file of a good host in turn is empty, binary, absurd, a folder, or not there; then all at once.
/// Guarantee: nothing panics, a check that cannot tell is unknown with a reason, and the others go on.
#[test]
fn garbage_is_unknown_and_never_a_panic() {
    let made = Made::good();
    let files = made.files();
    assert!(files.len() > 40);
    let garbage: [&[u8]; 5] = [
        b"",
        b"\xff\xfe\0\0",
        b"banana: -1 - , ; 99999999999999999999999\n",
        b"-\n",
        b":::\n - \n",
    ];
    for file in &files {
        let good = fs::read(file).unwrap();
        for text in garbage {
            fs::write(file, text).unwrap();
            made.says();
        }
        fs::remove_file(file).unwrap();
        made.says();
        fs::create_dir(file).unwrap();
        made.says();
        fs::remove_dir(file).unwrap();
        fs::write(file, good).unwrap();
    }
    assert_eq!(made.says().all(Verdict::Ok).len(), made.says().0.len());
    for text in garbage {
        for file in &files {
            fs::write(file, text).unwrap();
        }
        let said = made.says();
        let unknown = said.all(Verdict::Unknown);
        assert!(unknown.len() >= 14, "{text:?} {unknown:?}");
    }
}

/// Scenario: neither `/proc` nor `/sys` is mounted.
/// Guarantee: what was tried is still judged, and all else is unknown because of the file that is missing.
#[test]
fn without_proc_only_what_was_tried_is_known() {
    let said = Made::good().without("proc").without("sys").says();
    said.has(
        "kernel",
        Verdict::Unknown,
        "/proc/sys/kernel/osrelease is not there",
    );
    let tried = ["io_uring", "wal_space", "wal_sync", "clock_sync"];
    let without_limits = ["cpu_quota"];
    for finding in &said.0 {
        let known = tried.contains(&finding.check) || without_limits.contains(&finding.check);
        let expected = if known { Verdict::Ok } else { Verdict::Unknown };
        assert_eq!(finding.judgement.verdict, expected, "{finding:?}");
    }
}
