//! One connection, as all that deal with it see it: streams and calls report what happens, and it says when
//! it must end. No clock is read: a tick is a tick of whoever looks at all connections.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::{FRAMES_BURST, FRAMES_PER_ANSWER, FRAMES_PER_SECOND, PeerLimits};
use crate::metrics::TransportMetrics;

/// What connections count together.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) open: Cell<usize>,
    calls: Cell<usize>,
    /// Counts up whenever a connection is used: which of two was used last needs no clock.
    uses: Cell<u64>,
}

/// How a connection ends, from patient to at once. It can only get less patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// What is in flight is answered; the peer is asked to begin nothing more.
    Finish,
    /// There is nothing in flight: the peer is told, not waited for.
    Leave,
    /// The peer is told that it floods, and what is in flight is given up.
    Calm,
    /// Without a word.
    Cut,
}

/// Why the engine ends a connection, for its metrics and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The engine stops.
    Stop,
    /// It had no request for long.
    Idle,
    /// It has begun a head or a frame and not completed it.
    Slow,
    /// Its peer does not read.
    Stuck,
    /// Its peer sends what carries nothing.
    Flood,
    /// Another one needs its place.
    Room,
}

impl Why {
    /// Every reason, for counters.
    pub(crate) const ALL: [Why; 6] = [
        Why::Stop,
        Why::Idle,
        Why::Slow,
        Why::Stuck,
        Why::Flood,
        Why::Room,
    ];

    /// Name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Why::Stop => "stop",
            Why::Idle => "idle",
            Why::Slow => "slow",
            Why::Stuck => "stuck",
            Why::Flood => "flood",
            Why::Room => "room",
        }
    }
}

/// One connection, as all that deal with it see it.
pub(crate) struct Peer {
    limits: PeerLimits,
    pub(super) metrics: Option<TransportMetrics>,
    /// Index among the connections.
    pub(super) place: Cell<usize>,
    sums: Rc<Sums>,
    last_use: Cell<u64>,
    /// Whether it ever had a call.
    used: Cell<bool>,
    calls: Cell<usize>,
    bodies: Cell<usize>,
    /// Time without a call.
    idle: Cell<Duration>,
    /// A head or a frame is incomplete, and for how long.
    begun: Cell<Option<Duration>>,
    /// Bytes wait to be written, and for how long the peer has taken none.
    stuck: Cell<Option<Duration>>,
    /// It was told to finish, so long ago.
    ending: Cell<Option<Duration>>,
    /// Frames that it may still send for nothing.
    frames_left: Cell<u32>,
    end: Cell<Option<End>>,
    ended: Notify,
}

/// A request that is being received, served, answered, or whose rest is read off.
pub(crate) struct Calling(Rc<Peer>);

/// A body that is being received.
pub(super) struct Receiving<'a>(&'a Peer);

impl Peer {
    pub(super) fn new(
        limits: PeerLimits,
        metrics: Option<TransportMetrics>,
        sums: Rc<Sums>,
        place: usize,
    ) -> Self {
        let peer = Peer {
            limits,
            metrics,
            place: Cell::new(place),
            sums,
            last_use: Cell::new(0),
            used: Cell::new(false),
            calls: Cell::new(0),
            bodies: Cell::new(0),
            idle: Cell::new(Duration::ZERO),
            // Its first bytes are due.
            begun: Cell::new(Some(Duration::ZERO)),
            stuck: Cell::new(None),
            ending: Cell::new(None),
            frames_left: Cell::new(FRAMES_BURST),
            end: Cell::new(None),
            ended: Notify::new(),
        };
        peer.touch();
        peer
    }

    /// The bounds on it.
    pub(super) fn limits(&self) -> &PeerLimits {
        &self.limits
    }

    /// A request has come.
    pub(crate) fn call(self: &Rc<Self>) -> Calling {
        self.calls.set(self.calls.get() + 1);
        self.sums.calls.set(self.sums.calls.get() + 1);
        self.used.set(true);
        self.touch();
        Calling(Rc::clone(self))
    }

    /// All connections together have as many calls as there may be, and this one has its share of them.
    pub(super) fn crowded(&self) -> bool {
        let max = self.limits.calls;
        let share = max / self.sums.open.get().max(1);
        self.sums.calls.get() >= max && self.calls.get() >= share
    }

    /// Requests that have come and are not done.
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// A body begins.
    pub(super) fn receive(&self) -> Receiving<'_> {
        self.bodies.set(self.bodies.get() + 1);
        Receiving(self)
    }

    /// Bodies that are being received.
    pub(super) fn bodies(&self) -> usize {
        self.bodies.get()
    }

    /// An answer went out, for which the peer will send frames.
    pub(super) fn answered(&self) {
        self.refill(FRAMES_PER_ANSWER);
    }

    /// Bytes of a head, of which it is not known where it ends.
    pub(super) fn head_arrives(&self) {
        if self.calls.get() == 0 && self.begun.get().is_none() {
            self.begun.set(Some(Duration::ZERO));
        }
    }

    /// The head has ended, as the request that it begins shows.
    pub(super) fn head_ends(&self) {
        self.begun.set(None);
    }

    /// Frames arrived: whether one was `completed`, and whether one is incomplete.
    pub(super) fn frames_arrive(&self, completed: bool, incomplete: bool) {
        let begun = self.begun.get().filter(|_| !completed);
        self.begun
            .set(incomplete.then(|| begun.unwrap_or(Duration::ZERO)));
    }

    /// Takes what frames cost. When there is too little left, the connection ends.
    pub(super) fn charge(&self, frames: u32) {
        let left = self.frames_left.get().checked_sub(frames);
        self.frames_left.set(left.unwrap_or(0));
        if left.is_none() {
            self.end(End::Calm, Why::Flood);
        }
    }

    /// A write could, or could not, go on.
    pub(super) fn writes(&self, stuck: bool) {
        let since = self.stuck.get();
        self.stuck
            .set(stuck.then(|| since.unwrap_or(Duration::ZERO)));
    }

    /// Asks the connection to end, if it was not asked for as much already.
    pub(super) fn end(&self, end: End, why: Why) {
        if self.end.get() >= Some(end) {
            return;
        }
        if self.end.get().is_none() {
            self.count_end(why);
        }
        self.end.set(Some(end));
        self.ending.set(self.ending.get().or(Some(Duration::ZERO)));
        self.ended.notify_one();
    }

    /// Counts that the engine ends it.
    pub(super) fn count_end(&self, why: Why) {
        tracing::debug!(reason = why.label(), "a connection is ended");
        if let Some(metrics) = &self.metrics {
            metrics.ended(why);
        }
    }

    /// What it was asked last.
    pub(super) fn asked(&self) -> Option<End> {
        self.end.get()
    }

    /// Returns when the connection is asked for more than `handled`. Only its own task may wait.
    pub(super) async fn asked_for_more(&self, handled: Option<End>) -> End {
        loop {
            match self.end.get() {
                Some(end) if Some(end) > handled => return end,
                _ => self.ended.notified().await,
            }
        }
    }

    /// It was asked to finish, had the time to hear of it, and what it begins now comes too late.
    pub(super) fn overdue(&self) -> bool {
        self.ending.get() >= Some(self.limits.goaway)
    }

    /// How much it would be missed, the least first; nothing when it cannot go: it has a call, or was used
    /// since the last tick, so that its answer may be on the way, or it is going.
    pub(super) fn missed(&self) -> Option<(bool, u64)> {
        let rests = !self.used.get() || !self.idle.get().is_zero();
        (self.calls.get() == 0 && rests && !self.leaves())
            .then(|| (self.used.get(), self.last_use.get()))
    }

    /// Makes room for another.
    pub(super) fn make_room(&self) {
        let end = match self.stuck.get() {
            None => End::Leave,
            Some(_) => End::Cut,
        };
        self.end(end, Why::Room);
    }

    /// It will be gone in a moment.
    pub(super) fn leaves(&self) -> bool {
        self.end.get() >= Some(End::Leave)
    }

    fn touch(&self) {
        let use_number = self.sums.uses.get() + 1;
        self.sums.uses.set(use_number);
        self.last_use.set(use_number);
        self.idle.set(Duration::ZERO);
    }

    fn refill(&self, frames: u32) {
        let left = self.frames_left.get().saturating_add(frames);
        self.frames_left.set(left.min(FRAMES_BURST));
    }

    /// One tick has gone by.
    pub(super) fn tick(&self) {
        let PeerLimits {
            tick,
            head,
            answer,
            idle,
            goaway,
            ..
        } = self.limits;
        self.refill((tick.as_secs_f64() * f64::from(FRAMES_PER_SECOND)) as u32);
        for time in [&self.begun, &self.stuck, &self.ending] {
            time.set(time.get().map(|time| time + tick));
        }
        if self.stuck.get() >= Some(answer) {
            return self.end(End::Cut, Why::Stuck);
        }
        if self.calls.get() > 0 {
            return;
        }
        self.idle.set(self.idle.get() + tick);
        if self.begun.get() >= Some(head) {
            self.end(End::Cut, Why::Slow);
        } else if self.ending.get() >= Some(2 * goaway) {
            // What it ends for was counted when it was told to.
            self.end(End::Cut, Why::Idle);
        } else if self.overdue() {
            self.end(End::Leave, Why::Idle);
        } else if self.idle.get() >= idle {
            self.end(End::Finish, Why::Idle);
        }
    }
}

impl Calling {
    /// Whose request it is.
    pub(super) fn peer(&self) -> &Peer {
        &self.0
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.sums.calls.set(self.0.sums.calls.get() - 1);
        self.0.touch();
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.bodies.set(self.0.bodies.get() - 1);
    }
}
