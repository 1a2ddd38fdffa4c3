//! The clients of a history: processes that send requests over a few connections and note in the ledger what
//! they were told. They never send a request twice.

mod grpc;
mod http1;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use super::ledger::{Ledger, Outcome};
use super::requests;
use crate::reactor::sim::{self, Process, Sim, SimStream};
use crate::reactor::{Reactor, within};

const ENGINE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
/// Where the engine takes gRPC.
pub(super) const GRPC: SocketAddr = SocketAddr::new(ENGINE, 4317);
/// Where it takes HTTP.
pub(super) const HTTP: SocketAddr = SocketAddr::new(ENGINE, 4318);

/// What all clients share.
pub(super) struct Load {
    pub(super) ledger: Ledger,
    /// Requests that are still to be made, by all clients together.
    pub(super) left: Cell<usize>,
    /// How long a client thinks between two requests, at most.
    pub(super) pause: Duration,
    /// Requests in flight on one connection, at most.
    pub(super) parallel: usize,
    /// How long a client waits for an answer.
    pub(super) patience: Duration,
}

/// How a connection fails a client.
type Failure = Box<dyn std::error::Error>;

impl Load {
    /// The right to make one more request.
    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn note(&self, number: usize, outcome: Outcome) {
        sim::note((number, outcome == Outcome::Acknowledged));
        self.ledger.borrow_mut().requests[number].outcome = outcome;
    }

    async fn think(&self, random: &mut Rng) {
        Sim::sleep(self.pause.mul_f64(random.f64())).await;
    }
}

/// Starts a client. It opens one connection after the other, each for a few requests, until none is left.
pub(super) fn start(load: &Rc<Load>) -> Process {
    let load = Rc::clone(load);
    Process::start("client", async move {
        let mut random = sim::random();
        while load.left.get() > 0 {
            let requests = random.usize(1..20);
            // What a connection that failed carried stays unknown.
            let _ = match random.u8(..3) {
                0 => http1::send(&load, requests, &mut random).await,
                _ => grpc::send(&load, requests, &mut random).await,
            };
            load.think(&mut random).await;
        }
    })
}

async fn connect(load: &Load, address: SocketAddr) -> Result<SimStream, Failure> {
    let stream = within::<Sim, _>(load.patience, Sim::connect(address)).await;
    Ok(stream.ok_or("no connection in time")??)
}

/// Sends one request over a connection of its own; says whether it was acknowledged.
pub(super) async fn probe(load: &Load, random: &mut Rng) -> bool {
    let made = requests::make(&load.ledger, random);
    let number = made.number;
    // Whatever fails is seen by what the ledger holds.
    let _ = http1::send_one(load, made).await;
    load.ledger.borrow().requests[number].outcome == Outcome::Acknowledged
}
