//! What a shard may hold in memory: one count of bytes, out of which everything takes its share that
//! grows with what strangers send (bodies, decompressed bodies, open columns, sealed chunks, what the batch
//! in flight has beyond its own room). Whoever cannot get a share refuses its request, and while the whole is
//! taken, sockets are not read. Nothing here allocates or frees.

mod plan;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use prometheus_client::metrics::gauge::Gauge;

pub use plan::MemoryPlan;

use crate::limits::SMALL_REQUEST_BYTES;
use crate::refusal::Refusal;

/// See the module.
pub(crate) struct Memory {
    plan: MemoryPlan,
    used: Cell<usize>,
    gauge: Gauge,
    /// How often readers had a turn, and what they may still read in this one.
    turn: Cell<u64>,
    turn_left: Cell<usize>,
    /// Readers that wait until less is used, and how often such were woken.
    gated: RefCell<Vec<Waker>>,
    openings: Cell<u64>,
}

/// A share of a shard's memory; given back when it is dropped.
pub(crate) struct Reservation {
    memory: Rc<Memory>,
    bytes: usize,
}

/// One reader of a socket, as `Memory` sees it.
#[derive(Default)]
pub(crate) struct Intake {
    /// The turn in which it had nothing left to read.
    paused: Option<u64>,
    /// The opening that it waits for.
    gated: Option<u64>,
}

impl Memory {
    pub(crate) fn new(plan: MemoryPlan, gauge: Gauge) -> Rc<Self> {
        Rc::new(Memory {
            plan,
            used: Cell::new(0),
            gauge,
            turn: Cell::new(0),
            turn_left: Cell::new(plan.read_ahead_bytes),
            gated: RefCell::default(),
            openings: Cell::new(0),
        })
    }

    /// How the shard's memory is divided.
    pub(crate) fn plan(&self) -> &MemoryPlan {
        &self.plan
    }

    /// A share of nothing yet.
    pub(crate) fn reservation(self: &Rc<Self>) -> Reservation {
        Reservation {
            memory: Rc::clone(self),
            bytes: 0,
        }
    }

    /// Whether a request may begin.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        if self.used.get() > self.plan.small() {
            return Err(Refusal::no_memory());
        }
        Ok(())
    }

    /// Ready when a socket may be read. Readers have turns, of `read_ahead_bytes` together, and between two of
    /// them everybody else has run once: so what was read was also taken over, and counted, or dropped. And
    /// nobody reads while all memory is taken; who holds it can end without.
    pub(crate) fn poll_read(&self, intake: &mut Intake, context: &Context<'_>) -> Poll<()> {
        if self.used.get() > self.plan.hard {
            if intake.gated != Some(self.openings.get()) {
                intake.gated = Some(self.openings.get());
                self.gated.borrow_mut().push(context.waker().clone());
            }
            return Poll::Pending;
        }
        if self.turn_left.get() == 0 {
            if intake.paused != Some(self.turn.get()) {
                intake.paused = Some(self.turn.get());
                // Comes to its end of the queue, behind those whom this turn has woken.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.turn.set(self.turn.get() + 1);
            self.turn_left.set(self.plan.read_ahead_bytes);
        }
        Poll::Ready(())
    }

    /// A socket was read.
    pub(crate) fn read(&self, bytes: usize) {
        self.turn_left
            .set(self.turn_left.get().saturating_sub(bytes));
    }

    fn set_used(&self, used: usize) {
        self.used.set(used);
        self.gauge.set(used as i64);
        if used <= self.plan.hard && !self.gated.borrow().is_empty() {
            self.openings.set(self.openings.get() + 1);
            for waker in self.gated.take() {
                waker.wake();
            }
        }
    }
}

impl Reservation {
    /// Bytes that are taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes `grow` would give at present.
    pub(crate) fn room(&self) -> usize {
        let Memory { plan, used, .. } = &*self.memory;
        let small = SMALL_REQUEST_BYTES.saturating_sub(self.bytes);
        let small = small.min(plan.hard.saturating_sub(used.get()));
        let begun = self.bytes > SMALL_REQUEST_BYTES || used.get() <= plan.soft();
        let large = if begun { plan.large() } else { 0 };
        small.max(large.saturating_sub(used.get()))
    }

    /// The same if nothing else were held.
    pub(crate) fn room_alone(&self) -> usize {
        self.memory.plan.large().saturating_sub(self.bytes)
    }

    /// Takes `bytes` more for a request, or refuses it because too much is held already. Small requests may
    /// take the last part, large ones not, and they do not begin when half is taken.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > self.room() {
            return Err(Refusal::no_memory());
        }
        self.memory.set_used(self.memory.used.get() + bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Makes the share `bytes` large, also past the limit: for what is there already.
    pub(crate) fn set(&mut self, bytes: usize) {
        let others = self.memory.used.get() - self.bytes;
        self.memory.set_used(others + bytes);
        self.bytes = bytes;
    }

    /// Gives back `bytes` of what was taken.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.set(self.bytes - bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}
