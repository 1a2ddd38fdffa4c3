//! All checks, in the order in which they are printed. Each takes a [`Host`] and hands out what it found;
//! whatever it cannot read becomes "unknown" with the reason.

mod clock;
mod cpu;
mod disk;
mod memory;
mod network;
mod reactor;
mod sockets;

use std::path::Path;

use crate::finding::{Finding, Judgement, Report};
use crate::host::Host;
use crate::probe::Probed;
use crate::root::{Root, Unread};

type Check = fn(&Host<'_>) -> Result<Judgement, Unread>;

const ALL: [(&str, Check); 23] = [
    ("kernel", reactor::kernel),
    ("io_uring", reactor::io_uring),
    ("seccomp", reactor::seccomp),
    ("memlock", reactor::memlock),
    ("nofile", sockets::nofile),
    ("backlog", sockets::backlog),
    ("socket_memory", sockets::socket_memory),
    ("cpus", cpu::cpus),
    ("cpu_quota", cpu::quota),
    ("cpu_siblings", cpu::siblings),
    ("cpu_governor", cpu::governor),
    ("interrupts", network::interrupts),
    ("packet_steering", network::packet_steering),
    ("memory", memory::memory),
    ("overcommit", memory::overcommit),
    ("huge_pages", memory::huge_pages),
    ("swap", memory::swap),
    ("wal_filesystem", disk::file_system),
    ("wal_mount", disk::mount_options),
    ("wal_space", disk::space),
    ("wal_sync", disk::sync),
    ("clock_source", clock::source),
    ("clock_sync", clock::synchronised),
];

/// Judges a host from what its files say and what was tried.
pub(crate) fn examine(
    root: &Root,
    probed: &Probed,
    wal_dir: &Path,
    shards: Option<usize>,
) -> Report {
    let host = Host::new(root, probed, wal_dir, shards);
    let findings = ALL.map(|(check, judge)| Finding {
        check,
        judgement: judge(&host).unwrap_or_else(|unread| Judgement::unknown(unread.to_string())),
    });
    Report::new(host.shards, wal_dir.display().to_string(), findings.into())
}
