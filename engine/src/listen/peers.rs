//! The connections of one thread: how many there are, who makes room for whom, and a look at all of them
//! each tick, which compares what each is at with `PeerLimits`. No timer is set per connection or request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::peer::{End, Peer, Sums, Why};
use super::{Stop, stopped};
use crate::limits::PeerLimits;
use crate::metrics::TransportMetrics;
use crate::reactor::Reactor;

/// Counts and watches connections, so that full ones make room and a stopping engine knows when it is
/// done.
pub(crate) struct Connections {
    limits: PeerLimits,
    /// How many there may be.
    max: usize,
    peers: RefCell<Vec<Rc<Peer>>>,
    sums: Rc<Sums>,
    /// Listeners that wait for room.
    waiting: Cell<usize>,
    opened: Notify,
    closed: Notify,
}

/// A connection's place; given back when it is dropped.
pub(crate) struct Open {
    connections: Rc<Connections>,
    pub(crate) peer: Rc<Peer>,
}

/// A listener that waits for room.
struct Waiting<'a>(&'a Cell<usize>);

impl Connections {
    pub(crate) fn new(limits: PeerLimits, max: usize) -> Rc<Self> {
        Rc::new(Connections {
            limits,
            max,
            peers: RefCell::default(),
            sums: Rc::default(),
            waiting: Cell::new(0),
            opened: Notify::new(),
            closed: Notify::new(),
        })
    }

    /// Adds a connection that was just accepted.
    pub(crate) fn open(self: &Rc<Self>, metrics: Option<&TransportMetrics>) -> Open {
        let mut peers = self.peers.borrow_mut();
        let peer = Peer::new(
            self.limits,
            metrics.cloned(),
            Rc::clone(&self.sums),
            peers.len(),
        );
        let peer = Rc::new(peer);
        peers.push(Rc::clone(&peer));
        self.sums.open.set(peers.len());
        self.opened.notify_one();
        if let Some(metrics) = metrics {
            metrics.connections.inc();
        }
        Open {
            connections: Rc::clone(self),
            peer,
        }
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        while !self.peers.borrow().is_empty() {
            self.closed.notified().await;
        }
    }

    /// Waits until there is room for one more, and makes it if anybody is idle.
    pub(crate) async fn slot(&self) {
        if !self.full() {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        while self.full() {
            self.make_room();
            self.closed.notified().await;
        }
    }

    /// Ends the connection that is missed least: one that never had a call before one that had, and the
    /// one whose last use is longest ago.
    pub(crate) fn make_room(&self) {
        let peers = self.peers.borrow();
        let idle = peers.iter().filter_map(|peer| Some((peer.missed()?, peer)));
        if let Some((_, peer)) = idle.min_by_key(|(missed, _)| *missed) {
            peer.make_room();
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        for peer in &*self.peers.borrow() {
            peer.end(End::Cut, Why::Stop);
        }
    }

    /// Looks at all connections each tick for as long as there are any; returns when the engine stops and
    /// the last is closed.
    pub(crate) async fn watch<R: Reactor>(self: Rc<Self>, mut stop: Stop) {
        loop {
            if self.peers.borrow().is_empty() {
                tokio::select! {
                    biased;
                    () = self.opened.notified() => {}
                    () = stopped(&mut stop) => return,
                }
                continue;
            }
            R::sleep(self.limits.tick).await;
            for peer in &*self.peers.borrow() {
                peer.tick();
            }
            if self.full() {
                let leaving = self
                    .peers
                    .borrow()
                    .iter()
                    .filter(|peer| peer.leaves())
                    .count();
                (leaving..self.waiting.get()).for_each(|_| self.make_room());
            }
        }
    }

    fn full(&self) -> bool {
        self.peers.borrow().len() >= self.max
    }

    fn close(&self, place: usize) {
        let mut peers = self.peers.borrow_mut();
        peers.swap_remove(place);
        self.sums.open.set(peers.len());
        if let Some(moved) = peers.get(place) {
            moved.place.set(place);
        }
        self.closed.notify_one();
    }
}

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(metrics) = &self.peer.metrics {
            metrics.connections.dec();
        }
        self.connections.close(self.peer.place.get());
    }
}
