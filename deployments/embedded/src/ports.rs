//! Chooses the two loopback ports of a server by binding a probe to each. A probe is closed before
//! ClickHouse binds, so a port may still be lost in between: the caller tries again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::Error;

/// Free ports are looked for below Linux's default range for outgoing connections (32768 and up),
/// so that a server stopped for a moment does not lose its port to somebody's connection.
const FREE_FIRST: u16 = 20_000;
const FREE_COUNT: u16 = 12_000;
const FREE_ATTEMPTS: u16 = 200;
const _: () = assert!(FREE_FIRST + FREE_COUNT < 32_768);

/// Which port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one; starting fails when it is taken.
    Exactly(u16),
    /// This one, or any free one when it is taken.
    Prefer(u16),
    /// Any free one.
    Any,
}

/// The ports one start attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) native: u16,
    pub(crate) http: u16,
}

pub(crate) const NATIVE: &str = "ClickHouse's native protocol";
pub(crate) const HTTP: &str = "ClickHouse's HTTP interface";

/// Two different ports that were free a moment ago.
///
/// # Errors
/// [`Error::PortTaken`] when a port asked for exactly is taken.
pub(crate) fn choose(native: Port, http: Port) -> Result<Ports, Error> {
    // Both probes are open at once, so the two differ.
    let native = probe(native, NATIVE)?;
    let http = probe(http, HTTP)?;
    Ok(Ports {
        native: port_of(&native)?,
        http: port_of(&http)?,
    })
}

fn probe(port: Port, purpose: &'static str) -> Result<TcpListener, Error> {
    match port {
        Port::Exactly(port) => bind(port).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::PortTaken { port, purpose },
            _ => Error::io("listen on", format!("127.0.0.1:{port}").as_ref())(error),
        }),
        Port::Prefer(port) => bind(port).or_else(|_| free()),
        Port::Any => free(),
    }
}

fn free() -> Result<TcpListener, Error> {
    let offset = (random() % u64::from(FREE_COUNT)) as u16;
    (0..FREE_ATTEMPTS)
        .find_map(|i| bind(FREE_FIRST + (offset + i) % FREE_COUNT).ok())
        .map_or_else(|| bind(0), Ok)
        .map_err(Error::io("listen on", "127.0.0.1".as_ref()))
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn port_of(probe: &TcpListener) -> Result<u16, Error> {
    let address = probe.local_addr();
    Ok(address
        .map_err(Error::io("read the address of", "a probe socket".as_ref()))?
        .port())
}

/// A number that differs between processes and between calls; no secret.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: both ports are left open. Guarantees: they are free, differ, and are not from the
    /// range of outgoing connections.
    #[test]
    fn any_gives_two_free_ports() {
        let ports = choose(Port::Any, Port::Any).unwrap();
        assert_ne!(ports.native, ports.http);
        assert!((FREE_FIRST..32_768).contains(&ports.native));
        assert!((FREE_FIRST..32_768).contains(&ports.http));
    }

    /// Scenario: somebody listens on the port. Guarantees: `Exactly` names it in the error,
    /// `Prefer` moves on.
    #[test]
    fn taken_port_is_named_or_avoided() {
        let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = owner.local_addr().unwrap().port();
        let error = choose(Port::Any, Port::Exactly(port))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("HTTP"),
            "{error}"
        );
        assert_ne!(choose(Port::Prefer(port), Port::Any).unwrap().native, port);
    }

    /// Scenario: the same port is asked for twice. Guarantees: it is refused.
    #[test]
    fn one_port_for_both_is_refused() {
        let port = choose(Port::Any, Port::Any).unwrap().native;
        assert!(choose(Port::Exactly(port), Port::Exactly(port)).is_err());
    }
}
