//! ClickHouse's process, when it runs on this host: the address that it is asked at goes in, CPU and memory as the
//! kernel counts them come out. Nearer to the truth than what a server counts of its own threads and allocations.

use std::net::{IpAddr, ToSocketAddrs};

use procfs::WithCurrentSystemInfo;
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, all_processes};
use reqwest::Url;

/// What its command line has in it, embedded or not. A proxy that listens for it has not.
const NAME: &str = "clickhouse";

/// A process of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    pid: i32,
}

impl Local {
    /// The process that listens where `url` says, when that is on loopback and can be looked into.
    pub(crate) fn find(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']);
        let port = url.port_or_known_default()?;
        let mut addresses = (host, port).to_socket_addrs().ok()?;
        if !addresses.all(|address| address.ip().is_loopback()) {
            return None;
        }
        let sockets = procfs::net::tcp()
            .into_iter()
            .chain(procfs::net::tcp6())
            .flatten();
        let listens = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        let inodes: Vec<u64> = sockets
            .filter(|socket| socket.state == TcpState::Listen)
            .filter(|socket| {
                socket.local_address.port() == port && listens(socket.local_address.ip())
            })
            .map(|socket| socket.inode)
            .collect();
        let holds = |process: &Process| {
            let mut open = process.fd().into_iter().flatten().flatten();
            open.any(
                |open| matches!(open.target, FDTarget::Socket(inode) if inodes.contains(&inode)),
            )
        };
        let is_named = |process: &Process| {
            let line = process.cmdline().unwrap_or_default();
            line.iter().any(|word| word.contains(NAME))
        };
        let mut all = all_processes().ok()?.flatten();
        let found = all.find(|process| is_named(process) && holds(process))?;
        Some(Local { pid: found.pid })
    }

    /// CPU seconds since its start, and bytes that are resident.
    pub(crate) fn used(self) -> Option<(f64, f64)> {
        let stat = Process::new(self.pid).ok()?.stat().ok()?;
        let ticks = (stat.utime + stat.stime) as f64;
        Some((
            ticks / procfs::ticks_per_second() as f64,
            stat.rss_bytes().get() as f64,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Scenario: a port on which this test listens, which is no ClickHouse; one on which nobody does; a host
    /// elsewhere. Guarantees: no other process is taken for ClickHouse, and one that is known tells what it uses.
    #[test]
    fn only_clickhouse_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        assert_eq!(Local::find(&url), None);
        drop(listener);
        assert_eq!(Local::find(&url), None);
        assert_eq!(Local::find("http://192.0.2.1:8123"), None);
        let own = Local {
            pid: std::process::id().cast_signed(),
        };
        let (cpu, memory) = own.used().unwrap();
        assert!(cpu >= 0.0 && memory > 1e6);
    }
}
