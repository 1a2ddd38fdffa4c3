//! Connections between the processes of a world, and what can happen to them: bytes come late and in
//! pieces, a connection breaks after any of them, a whole address falls silent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;

use super::executor::Executor;
use super::pipe::{End, Pipe};
use super::process::Process;

/// Bytes that a pipe takes before its writer has to wait: each has its own, between these.
const CAPACITY: std::ops::Range<usize> = 512..64 << 10;

pub(super) type ConnectionId = u64;
pub(super) type ListenerId = u64;

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Both sides are told.
    Reset,
    /// Neither is told: what is written is lost, and nothing comes any more.
    Silent,
}

/// See the module.
pub(crate) struct Network {
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) listeners: BTreeMap<ListenerId, Listener>,
    next: u64,
    /// Addresses that nothing passes from or to at present.
    silent: BTreeSet<SocketAddr>,
    silenced: Vec<Waker>,
    /// Most of a byte's time on the way.
    pub(crate) latency: Duration,
    /// How often a byte takes up to a hundred times as long.
    pub(crate) slow: f64,
    /// How often a read or write moves but a few bytes.
    pub(crate) small: f64,
}

pub(super) struct Connection {
    pub(super) server: SocketAddr,
    /// Who holds each end, while it is held: the client's, the server's.
    pub(super) ends: [Option<Process>; 2],
    /// What each end writes.
    pub(super) pipes: [Pipe; 2],
}

pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    pub(super) queue: VecDeque<ConnectionId>,
    pub(super) acceptor: Option<Waker>,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next: 0,
            silent: BTreeSet::new(),
            silenced: Vec::new(),
            latency: Duration::from_micros(200),
            slow: 0.01,
            small: 0.05,
        }
    }
}

impl Network {
    /// Time that something takes to get there.
    pub(super) fn delay(&self, random: &mut Rng) -> Duration {
        let delay = self.latency.mul_f64(random.f64());
        match random.f64() < self.slow {
            true => delay * random.u32(1..100),
            false => delay,
        }
    }

    /// Nothing passes from or to this address until `restore`.
    pub(crate) fn silence(&mut self, address: SocketAddr) {
        self.silent.insert(address);
    }

    /// Lets everything pass that was held. Connections that were cut silently break now, and fuses that
    /// have not burnt down are taken away.
    pub(super) fn heal(&mut self, executor: &mut Executor) {
        self.silent.clear();
        for waker in self.silenced.drain(..) {
            waker.wake();
        }
        let pipes = self.connections.values_mut().flat_map(|c| &mut c.pipes);
        for pipe in pipes {
            pipe.fuse = None;
            if std::mem::take(&mut pipe.lost) {
                pipe.finish(End::Reset, executor.time(), executor);
            }
        }
    }

    /// Leaves a waker if nothing passes from or to this address.
    pub(super) fn is_silent(&mut self, address: SocketAddr, waker: &Waker) -> bool {
        let silent = self.silent.contains(&address);
        if silent {
            self.silenced.push(waker.clone());
        }
        silent
    }

    /// Lays a fuse to a connection to `server`, if there is one: it is cut when `bytes` more have gone one
    /// way. False when there is none.
    pub(crate) fn lay_fuse(
        &mut self,
        server: SocketAddr,
        bytes: usize,
        cut: Cut,
        random: &mut Rng,
    ) -> bool {
        let to_server = self.connections.values_mut().filter(|c| c.server == server);
        let mut to_server: Vec<_> = to_server.collect();
        if to_server.is_empty() {
            return false;
        }
        let connection = to_server.swap_remove(random.usize(..to_server.len()));
        connection.pipes[random.usize(..2)].fuse = Some((bytes, cut));
        true
    }

    /// A listening socket at `address`; others there share what comes.
    pub(super) fn listen(&mut self, address: SocketAddr, process: Process) -> ListenerId {
        self.next += 1;
        let listener = Listener {
            address,
            process,
            queue: VecDeque::new(),
            acceptor: None,
        };
        self.listeners.insert(self.next, listener);
        self.next
    }

    /// A connection to one of those who listen at `address`; `None` when nobody does.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        client: Process,
        random: &mut Rng,
    ) -> Option<ConnectionId> {
        let there = self.listeners.values_mut().filter(|l| l.address == address);
        let listener = random.choice(there.collect::<Vec<_>>())?;
        self.next += 1;
        let mut pipe = || Pipe::new(random.usize(CAPACITY));
        let connection = Connection {
            server: address,
            ends: [Some(client), Some(listener.process)],
            pipes: [pipe(), pipe()],
        };
        self.connections.insert(self.next, connection);
        listener.queue.push_back(self.next);
        if let Some(acceptor) = listener.acceptor.take() {
            acceptor.wake();
        }
        Some(self.next)
    }

    /// Cuts a connection.
    pub(super) fn cut(
        &mut self,
        id: ConnectionId,
        cut: Cut,
        executor: &mut Executor,
        random: &mut Rng,
    ) {
        let delays = [self.delay(random), self.delay(random)];
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        for (pipe, delay) in connection.pipes.iter_mut().zip(delays) {
            match cut {
                Cut::Reset => pipe.finish(End::Reset, executor.time() + delay, executor),
                Cut::Silent => pipe.lost = true,
            }
            pipe.wake_writer();
        }
    }

    /// One end of a connection is closed: its peer reads what was written, or is reset if something was
    /// left unread.
    pub(super) fn close(
        &mut self,
        id: ConnectionId,
        end: usize,
        executor: &mut Executor,
        random: &mut Rng,
    ) {
        let at = executor.time() + self.delay(random);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.ends[end].take().is_none() {
            return;
        }
        let unread = connection.pipes[1 - end].held > 0;
        let how = if unread { End::Reset } else { End::Closed };
        connection.pipes[end].finish(how, at, executor);
        connection.pipes[1 - end].abandon(at, executor);
        if connection.ends == [None, None] {
            self.connections.remove(&id);
        }
    }

    /// A listening socket is closed; who was not accepted yet is reset.
    pub(super) fn stop_listening(
        &mut self,
        id: ListenerId,
        executor: &mut Executor,
        random: &mut Rng,
    ) {
        let queue = self.listeners.remove(&id).map(|listener| listener.queue);
        for connection in queue.into_iter().flatten() {
            self.close(connection, 1, executor, random);
        }
    }

    /// Closes all that a process holds.
    pub(super) fn close_all(
        &mut self,
        process: Process,
        executor: &mut Executor,
        random: &mut Rng,
    ) {
        let own = |(id, listener): (&u64, &Listener)| (listener.process == process).then_some(*id);
        let listeners: Vec<_> = self.listeners.iter().filter_map(own).collect();
        for id in listeners {
            self.stop_listening(id, executor, random);
        }
        let ends = self.connections.iter().flat_map(|(id, connection)| {
            let held = |end: &usize| connection.ends[*end] == Some(process);
            (0..2).filter(held).map(|end| (*id, end))
        });
        let ends: Vec<_> = ends.collect();
        for (id, end) in ends {
            self.close(id, end, executor, random);
        }
    }
}
