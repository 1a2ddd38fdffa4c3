//! What a shard has taken and ClickHouse has not confirmed: how many rows wait and since when, and in the
//! ack modes without a log the chunks themselves. It decides when a batch is due.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::ack::Acks;
use crate::chunk::Chunk;
use crate::memory::Reservation;
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;

/// A chunk that waits in memory for its batch.
pub(crate) struct Held {
    pub(crate) chunk: Chunk,
    /// Requests that wait until it is inserted.
    pub(crate) acks: Acks,
    /// When its oldest row came.
    pub(crate) since: Instant,
    pub(crate) memory: Reservation,
}

/// When a batch is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) rows: usize,
    pub(crate) age: Duration,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Backlog {
    held: RefCell<VecDeque<Held>>,
    rows: Cell<usize>,
    /// When the oldest row came, or the last batch was taken, if that was later.
    since: Cell<Option<Instant>>,
    hurried: Cell<bool>,
    closed: Cell<bool>,
    changed: Notify,
    ended: Notify,
}

impl Backlog {
    /// Notes rows that the log holds.
    pub(crate) fn add(&self, rows: usize, since: Instant) {
        self.rows.set(self.rows.get() + rows);
        self.since.set(self.since.get().or(Some(since)));
        self.changed.notify_one();
    }

    /// Takes a chunk that no log holds.
    pub(crate) fn hold(&self, held: Held) {
        self.add(held.chunk.rows, held.since);
        self.held.borrow_mut().push_back(held);
    }

    /// The next chunk, if one is held.
    pub(crate) fn pop(&self) -> Option<Held> {
        self.held.borrow_mut().pop_front()
    }

    /// Gives up every held chunk; how many rows that were.
    pub(crate) fn refuse(&self, refusal: &Refusal, now: Instant) -> usize {
        let mut rows = 0;
        for held in self.held.borrow_mut().drain(..) {
            rows += held.chunk.rows;
            held.acks.refuse(refusal);
        }
        self.taken(rows, now);
        rows
    }

    /// A batch of `rows` rows was taken.
    pub(crate) fn taken(&self, rows: usize, now: Instant) {
        let left = self.rows.get().saturating_sub(rows);
        self.rows.set(left);
        self.since.set((left > 0).then_some(now));
    }

    /// Rows that wait.
    pub(crate) fn rows(&self) -> usize {
        self.rows.get()
    }

    /// Since when rows wait.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since.get()
    }

    /// From now on whatever waits is due at once.
    pub(crate) fn hurry(&self) {
        self.hurried.set(true);
        self.changed.notify_one();
    }

    /// Nothing will be added any more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.changed.notify_one();
        self.ended.notify_one();
    }

    /// Waits until nothing will be added any more.
    pub(crate) async fn closed(&self) {
        while !self.closed.get() {
            self.ended.notified().await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Waits until a batch is due; false when nothing waits and nothing will.
    pub(crate) async fn batch_is_due<R: Reactor>(&self, due: Due) -> bool {
        loop {
            let age = |since| R::now().saturating_duration_since(since);
            match self.since.get().map(age) {
                None if self.closed.get() => return false,
                None => self.changed.notified().await,
                Some(age) if self.hurried.get() || self.rows() >= due.rows || age >= due.age => {
                    return true;
                }
                Some(age) => {
                    within::<R, _>(due.age - age, self.changed.notified()).await;
                }
            }
        }
    }
}
