//! What a shard may hold in memory: one count of bytes, out of which everything takes its share that
//! grows with what strangers send (bodies, decompressed bodies, open columns, sealed chunks, the batch
//! in flight). Whoever cannot get a share refuses its request; nothing here allocates or frees.

use std::cell::Cell;
use std::rc::Rc;

use prometheus_client::metrics::gauge::Gauge;

use crate::refusal::Refusal;

/// See the module.
pub(crate) struct Memory {
    limit: usize,
    used: Cell<usize>,
    gauge: Gauge,
}

/// A share of a shard's memory; given back when it is dropped.
pub(crate) struct Reservation {
    memory: Rc<Memory>,
    bytes: usize,
}

impl Memory {
    /// Room for `limit` bytes.
    pub(crate) fn new(limit: usize, gauge: Gauge) -> Rc<Self> {
        Rc::new(Memory {
            limit,
            used: Cell::new(0),
            gauge,
        })
    }

    /// A share of nothing yet.
    pub(crate) fn reservation(self: &Rc<Self>) -> Reservation {
        Reservation {
            memory: Rc::clone(self),
            bytes: 0,
        }
    }

    fn set_used(&self, used: usize) {
        self.used.set(used);
        self.gauge.set(used as i64);
    }
}

impl Reservation {
    /// Takes `bytes` more, or refuses the request because too much is held already.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let used = self.memory.used.get() + bytes;
        if used > self.memory.limit {
            return Err(Refusal::unavailable(
                "too many bytes wait to be stored; retry later",
            ));
        }
        self.memory.set_used(used);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back `bytes` of what was taken.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.memory.set_used(self.memory.used.get() - bytes);
        self.bytes -= bytes;
    }

    /// Makes the share `bytes` large, also past the limit: for what is there already.
    pub(crate) fn set(&mut self, bytes: usize) {
        let others = self.memory.used.get() - self.bytes;
        self.memory.set_used(others + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
