//! What clients sent and what they were told, request by request. It outlives every process of a history,
//! and it is the truth that the tables are held against.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::decode::Signal;
use crate::reactor::Reactor;
use crate::reactor::sim::Sim;

/// The number that a row of a signal has in a history; no two have the same.
pub(super) type RowId = u64;
pub(super) type Ledger = Rc<RefCell<Entries>>;

/// All requests, in the order in which they were made.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) requests: Vec<Request>,
    rows: RowId,
}

pub(super) struct Request {
    pub(super) signal: Signal,
    /// Each row, and the partition that it belongs to.
    pub(super) rows: Vec<(RowId, u32)>,
    pub(super) outcome: Outcome,
    /// When it was made, just before it was sent.
    pub(super) made: Instant,
}

/// What a client knows of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No answer: it may be stored or not.
    Unknown,
    Acknowledged,
    /// Told to come again later.
    Retry,
    /// Any other answer: none of these requests deserves one.
    Odd(String),
}

impl Entries {
    pub(super) fn new_row(&mut self) -> RowId {
        self.rows += 1;
        self.rows
    }

    /// Enters a request that is about to be sent. Gives its number.
    pub(super) fn enter(&mut self, signal: Signal, rows: Vec<(RowId, u32)>) -> usize {
        self.requests.push(Request {
            signal,
            rows,
            outcome: Outcome::Unknown,
            made: Sim::now(),
        });
        self.requests.len() - 1
    }

    pub(super) fn count(&self, outcome: &Outcome) -> usize {
        let with = |request: &&Request| request.outcome == *outcome;
        self.requests.iter().filter(with).count()
    }
}
