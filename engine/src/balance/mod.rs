//! How shards share work: every shard sees the loads of all, gives each fresh connection to the least
//! loaded, and when one busy connection takes more than its core, hands whole bodies to idle shards. An
//! engine of one shard has none of this. Nothing here touches what a shard owns.

mod rule;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

use crate::decode::Rejected;
use crate::form::Form;
use crate::limits::BUSY_WINDOW;
use crate::metrics::ShardMetrics;
use crate::reactor::Reactor;
use crate::refusal::Refusal;
use crate::shard::Shard;

pub use rule::HandOver;
use rule::{Seen, least_loaded, presses, taker};

/// A whole body on its way to another shard. Dropping it unanswered tells its sender so.
pub(crate) struct HandedBody {
    pub(crate) bytes: Vec<u8>,
    /// Bytes before the request that are the transport's.
    pub(crate) framing: usize,
    pub(crate) form: Form,
    /// Given back when the body is walked.
    pub(crate) place: Place,
    pub(crate) answer: oneshot::Sender<HandedAnswer>,
}

/// What came of it.
pub(crate) struct HandedAnswer {
    pub(crate) stored: Result<Rejected, Refusal>,
    /// An empty buffer for the one that went with the body, so that shards keep as many as they had.
    pub(crate) buffer: Vec<u8>,
}

/// The loads of all shards.
struct Loads(Vec<Load>);

/// One shard's load, on cache lines of its own.
#[repr(align(128))]
struct Load {
    connections: AtomicUsize,
    bodies: AtomicUsize,
    busy_percent: AtomicU8,
    available: Gauge,
}

impl Load {
    fn seen(&self) -> Seen {
        Seen {
            connections: self.connections.load(Relaxed),
            bodies: self.bodies.load(Relaxed),
            busy_percent: self.busy_percent.load(Relaxed),
            available: self.available.get() == 1,
        }
    }
}

/// A connection or body in its shard's load; given back when it is dropped, on whichever thread.
pub(crate) struct Place {
    loads: Arc<Loads>,
    pub(crate) shard: usize,
    count: fn(&Load) -> &AtomicUsize,
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.count)(&self.loads.0[self.shard]).fetch_sub(1, Relaxed);
    }
}

/// One shard's part in this.
pub(crate) struct Balance {
    own: usize,
    rules: HandOver,
    loads: Arc<Loads>,
    /// To each shard, itself included; none once it hands nothing over any more.
    peers: RefCell<Vec<UnboundedSender<HandedBody>>>,
    /// Which shard took the last body.
    last: Cell<usize>,
    pressing: Cell<bool>,
    /// CPU time spent on bodies that others handed over.
    for_others: Cell<Duration>,
    /// Whether a body came since the last look, and what wakes the one who looks.
    stirred: Cell<bool>,
    stir: Notify,
}

/// The parts of as many shards as there are metrics, each with the bodies that are handed to it.
pub(crate) fn join(
    rules: HandOver,
    metrics: &[ShardMetrics],
) -> Vec<(Balance, UnboundedReceiver<HandedBody>)> {
    let load = |metrics: &ShardMetrics| Load {
        connections: AtomicUsize::new(0),
        bodies: AtomicUsize::new(0),
        busy_percent: AtomicU8::new(0),
        available: metrics.available.clone(),
    };
    let loads = Arc::new(Loads(metrics.iter().map(load).collect()));
    let channels = metrics.iter().map(|_| unbounded_channel());
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let part = |(own, bodies)| {
        let balance = Balance {
            own,
            rules,
            loads: Arc::clone(&loads),
            peers: RefCell::new(senders.clone()),
            last: Cell::new(own),
            pressing: Cell::new(presses(false, 0, &rules)),
            for_others: Cell::default(),
            stirred: Cell::default(),
            stir: Notify::new(),
        };
        (balance, bodies)
    };
    receivers.into_iter().enumerate().map(part).collect()
}

impl Balance {
    /// A place for a fresh connection, in the shard that shall serve it.
    pub(crate) fn place_connection(&self) -> Place {
        let loads = &self.loads.0;
        loop {
            let seen: Vec<Seen> = loads.iter().map(Load::seen).collect();
            let shard = least_loaded(seen.iter().copied(), self.own);
            let connections = seen[shard].connections;
            let count = &loads[shard].connections;
            // Another shard may have placed one in between; without a new look a burst would not be even.
            let placed = count.compare_exchange(connections, connections + 1, Relaxed, Relaxed);
            if placed.is_ok() {
                return self.place(shard, |load| &load.connections);
            }
        }
    }

    /// A place for a fresh connection in this very shard.
    pub(crate) fn keep_connection(&self) -> Place {
        self.loads.0[self.own].connections.fetch_add(1, Relaxed);
        self.place(self.own, |load| &load.connections)
    }

    /// A place for a body of `bytes` bytes in another shard, if it had better be walked there.
    pub(crate) fn place_body(&self, bytes: usize) -> Option<Place> {
        if !self.stirred.replace(true) {
            self.stir.notify_one();
        }
        if !self.pressing.get() || bytes < self.rules.body_bytes_min {
            return None;
        }
        let seen = self.loads.0.iter().map(Load::seen);
        let shard = taker(seen, self.own, self.last.get(), &self.rules)?;
        self.last.set(shard);
        self.loads.0[shard].bodies.fetch_add(1, Relaxed);
        Some(self.place(shard, |load| &load.bodies))
    }

    fn place(&self, shard: usize, count: fn(&Load) -> &AtomicUsize) -> Place {
        Place {
            loads: Arc::clone(&self.loads),
            shard,
            count,
        }
    }

    /// Sends a body to the shard of its place, or gives it back when that shard takes none any more.
    pub(crate) fn hand_over(&self, body: HandedBody) -> Result<(), HandedBody> {
        match self.peers.borrow().get(body.place.shard) {
            Some(peer) => peer.send(body).map_err(|unsent| unsent.0),
            None => Err(body),
        }
    }

    /// Counts CPU time spent on a handed body: it is not this shard's own work.
    pub(crate) fn spent_for_others(&self, time: Duration) {
        self.for_others.set(self.for_others.get() + time);
    }

    /// From now on this shard hands nothing over. When all shards have said so, each one's bodies end.
    pub(crate) fn leave(&self) {
        self.peers.take();
    }

    fn looked(&self, busy_percent: u8, own_percent: u8) {
        let pressing = presses(self.pressing.get(), busy_percent, &self.rules);
        self.pressing.set(pressing);
        self.loads.0[self.own]
            .busy_percent
            .store(own_percent, Relaxed);
    }
}

/// Publishes how busy this shard is while requests come; sleeps while none do.
pub(crate) async fn watch<R: Reactor>(shard: Rc<Shard>) {
    let Some(balance) = &shard.balance else {
        return;
    };
    loop {
        balance.stir.notified().await;
        while balance.stirred.take() {
            let before = (R::now(), R::thread_time(), balance.for_others.get());
            R::sleep(BUSY_WINDOW).await;
            let window = R::now() - before.0;
            let busy = R::thread_time().saturating_sub(before.1);
            let own = busy.saturating_sub(balance.for_others.get() - before.2);
            balance.looked(percent(busy, window), percent(own, window));
        }
        balance.looked(0, 0);
    }
}

fn percent(part: Duration, whole: Duration) -> u8 {
    let percent = part.as_nanos() * 100 / whole.as_nanos().max(1);
    percent.min(100) as u8
}
