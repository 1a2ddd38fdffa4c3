//! Listening sockets: one per shard on the same address, so that the kernel spreads connections; and how
//! many connections the process has descriptors for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::host_needs::connections_within;
use crate::limits::{BACKLOG, BIND_PATIENCE, BIND_PAUSE, CONNECTIONS_MIN};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {source}{}", hint(source))]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What would have been received there.
    pub purpose: &'static str,
    /// The operating system's answer.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this port, choose another address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// Binds `count` sockets to one address; port 0 becomes one free port for all of them.
pub(crate) fn bind(
    address: SocketAddr,
    purpose: &'static str,
    count: usize,
) -> Result<Vec<TcpListener>, BindError> {
    let failed = |source| BindError {
        address,
        purpose,
        source,
    };
    // With SO_REUSEPORT a second engine would get the port as well and take half the connections, so
    // the port must first be free without it.
    let probe = when_free(address).map_err(failed)?;
    let actual = probe.local_addr().map_err(failed)?;
    drop(probe);
    (0..count)
        .map(|_| listening(actual, true).map_err(failed))
        .collect()
}

/// A socket on an address that may still be held by a process that has just been killed: the kernel lets go of
/// what an io_uring holds only some time after.
fn when_free(address: SocketAddr) -> io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match listening(address, false) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < BIND_PATIENCE =>
            {
                std::thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
}

fn listening(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Lets a restart bind while connections of the last run are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How many connections each of `shards` shards may serve, at most `wanted`: what the process may open, less
/// what it needs itself. A crowd must not take the descriptors that ClickHouse and files are reached by.
pub(crate) fn places(wanted: usize, shards: usize) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    places_within(wanted, shards, usize::try_from(limit).unwrap_or(usize::MAX))
}

fn places_within(wanted: usize, shards: usize, descriptors: usize) -> usize {
    wanted.min(connections_within(shards, descriptors).max(CONNECTIONS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the descriptors of a container, of a usual server, and fewer than an engine needs.
    /// Guarantee: connections and all else stay within them, and some connections are always served.
    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(places_within(4096, 1, 1024), 1024 - 160 - 32);
        assert_eq!(places_within(4096, 4, 1024), (1024 - 160) / 4 - 32);
        assert_eq!(places_within(4096, 2, 1 << 20), 4096);
        assert_eq!(places_within(4096, 64, 1024), CONNECTIONS_MIN);
        assert_eq!(places_within(8, 1, 1024), 8);
    }

    /// Scenario: two engines are started on one port.
    /// Guarantee: the second is told so, though both share ports among their shards.
    #[test]
    fn a_taken_port_is_named() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = bind(any, "OTLP/gRPC", 2).unwrap();
        let taken = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), taken);
        let error = bind(taken, "OTLP/gRPC", 2).unwrap_err().to_string();
        assert!(
            error.contains(&taken.to_string()) && error.contains("another program"),
            "{error}"
        );
    }
}
