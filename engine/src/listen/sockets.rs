//! Listening sockets: one per shard on the same address, so that the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::BACKLOG;

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
    let probe = listening(address, false).map_err(failed)?;
    let actual = probe.local_addr().map_err(failed)?;
    drop(probe);
    (0..count)
        .map(|_| listening(actual, true).map_err(failed))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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
