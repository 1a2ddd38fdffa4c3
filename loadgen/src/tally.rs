//! Counts of one sending thread: outcomes go in, totals and what came since the last look go out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::answer::Failure;
use crate::signal::Signal;

/// Microseconds that a latency is counted as at most: an hour.
const MICROS_MAX: u64 = 3_600_000_000;

/// Latencies in microseconds, from 1 µs to an hour, to three digits.
pub type Latencies = Histogram<u64>;

/// An empty histogram of `digits` significant digits.
pub(crate) fn latencies(digits: u8) -> Latencies {
    // Only bounds that are out of order or too many digits are refused.
    Histogram::new_with_bounds(1, MICROS_MAX, digits).unwrap_or_else(|_| unreachable!())
}

/// What became of what was due. `due = sent + not_sent`, and once a run has ended
/// `sent = acknowledged + rejected + failed + unknown`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that were due.
    pub requests_due: u64,
    /// Requests that were sent, however often each was tried.
    pub requests_sent: u64,
    /// Requests that were acknowledged, with rejected items or without.
    pub requests_acknowledged: u64,
    /// Items that were due.
    pub due: u64,
    /// Items that were sent.
    pub sent: u64,
    /// Items that were acknowledged, each once.
    pub acknowledged: u64,
    /// Of those, items of which an earlier try may have been stored too.
    pub acknowledged_again: u64,
    /// Items that a partial success left out.
    pub rejected: u64,
    /// Items of requests that were refused for good.
    pub failed: u64,
    /// Items of requests of which nobody knows whether they are stored: no answer came.
    pub unknown: u64,
    /// Items that were due and never sent, because the bound of requests in flight held them up.
    pub not_sent: u64,
}

impl Counts {
    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Counts) {
        for (own, other) in [
            (&mut self.requests_due, other.requests_due),
            (&mut self.requests_sent, other.requests_sent),
            (&mut self.requests_acknowledged, other.requests_acknowledged),
            (&mut self.due, other.due),
            (&mut self.sent, other.sent),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.acknowledged_again, other.acknowledged_again),
            (&mut self.rejected, other.rejected),
            (&mut self.failed, other.failed),
            (&mut self.unknown, other.unknown),
            (&mut self.not_sent, other.not_sent),
        ] {
            *own += other;
        }
    }
}

/// What failed under one name: `grpc UNAVAILABLE`, `http 503`, `partial success`, `timeout`, ...
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Tries that ended so.
    pub tries: u64,
    /// Requests that were given up after such a try, or that left items out.
    pub requests: u64,
    /// Their items.
    pub items: u64,
    /// The first one's words.
    pub example: String,
}

/// What a thread has counted since the start, or all threads have.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) signals: [Counts; 3],
    pub(crate) failures: BTreeMap<String, Failures>,
    pub(crate) latencies: Latencies,
    pub(crate) lags: Latencies,
    pub(crate) held_up: u64,
    pub(crate) last_answer: Option<Instant>,
}

/// What a thread has counted; `interval` begins anew with each look.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    pub(crate) interval: Interval,
}

/// What came since the last look.
#[derive(Debug)]
pub(crate) struct Interval {
    pub(crate) counts: Counts,
    pub(crate) failed_tries: u64,
    pub(crate) latencies: Latencies,
}

impl Interval {
    /// Adds what came at another time or elsewhere.
    pub(crate) fn add(&mut self, other: &Interval) {
        self.counts.add(&other.counts);
        self.failed_tries += other.failed_tries;
        // Histograms of the same bounds always add up.
        let _ = self.latencies.add(&other.latencies);
    }
}

impl Default for Interval {
    fn default() -> Self {
        Interval {
            counts: Counts::default(),
            failed_tries: 0,
            latencies: latencies(2),
        }
    }
}

impl Totals {
    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Totals) {
        // Histograms of the same bounds always add up.
        let _ = self.latencies.add(&other.latencies);
        let _ = self.lags.add(&other.lags);
        self.held_up += other.held_up;
        self.last_answer = self.last_answer.max(other.last_answer);
        for (own, counts) in self.signals.iter_mut().zip(&other.signals) {
            own.add(counts);
        }
        for (status, failures) in &other.failures {
            let own = self.failure(status, &failures.example);
            own.tries += failures.tries;
            own.requests += failures.requests;
            own.items += failures.items;
        }
    }

    /// What is counted under a status, whose first example is kept.
    fn failure(&mut self, status: &str, example: &str) -> &mut Failures {
        if !self.failures.contains_key(status) {
            let failures = Failures {
                example: example.to_owned(),
                ..Failures::default()
            };
            self.failures.insert(status.to_owned(), failures);
        }
        self.failures.entry(status.to_owned()).or_default()
    }
}

impl Default for Totals {
    fn default() -> Self {
        Totals {
            signals: [Counts::default(); 3],
            failures: BTreeMap::new(),
            latencies: latencies(3),
            lags: latencies(3),
            held_up: 0,
            last_answer: None,
        }
    }
}

/// Locks a tally; one that a panic left behind still counts.
pub(crate) fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn change(&mut self, signal: Signal, change: impl Fn(&mut Counts)) {
        change(&mut self.totals.signals[signal as usize]);
        change(&mut self.interval.counts);
    }

    /// A request was sent, that long after it was due; `held_up` by the bound of requests in flight.
    pub(crate) fn sent(&mut self, signal: Signal, items: u64, lag: Duration, held_up: bool) {
        self.change(signal, |counts| {
            counts.requests_due += 1;
            counts.due += items;
            counts.requests_sent += 1;
            counts.sent += items;
        });
        self.totals.lags.saturating_record(micros(lag));
        self.totals.held_up += u64::from(held_up);
    }

    /// A request was due and will not be sent.
    pub(crate) fn not_sent(&mut self, signal: Signal, items: u64) {
        self.change(signal, |counts| {
            counts.requests_due += 1;
            counts.due += items;
            counts.not_sent += items;
        });
        self.totals.held_up += 1;
    }

    /// A request was acknowledged, that long after it was due.
    pub(crate) fn acknowledged(
        &mut self,
        signal: Signal,
        (items, rejected): (u64, u64),
        latency: Duration,
        again: bool,
    ) {
        let kept = items - rejected;
        self.change(signal, |counts| {
            counts.requests_acknowledged += 1;
            counts.acknowledged += kept;
            counts.acknowledged_again += if again { kept } else { 0 };
            counts.rejected += rejected;
        });
        self.totals.last_answer = Some(Instant::now());
        self.totals.latencies.saturating_record(micros(latency));
        self.interval.latencies.saturating_record(micros(latency));
    }

    /// A partial success, or an acknowledgement with a warning (0 items).
    pub(crate) fn partial(&mut self, rejected: u64, message: &str) {
        let name = if rejected > 0 {
            "partial success"
        } else {
            "warning"
        };
        let failures = self.failure(name, message);
        failures.requests += 1;
        failures.items += rejected;
        self.interval.failed_tries += u64::from(rejected > 0);
    }

    /// A try failed.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.failure(&failure.status, &failure.message);
        self.interval.failed_tries += 1;
    }

    /// A request was given up after that failure.
    pub(crate) fn given_up(
        &mut self,
        signal: Signal,
        items: u64,
        failure: &Failure,
        unknown: bool,
    ) {
        if let Some(failures) = self.totals.failures.get_mut(&failure.status) {
            failures.requests += 1;
            failures.items += items;
        }
        self.change(signal, |counts| {
            if unknown {
                counts.unknown += items;
            } else {
                counts.failed += items;
            }
        });
    }

    fn failure(&mut self, status: &str, message: &str) -> &mut Failures {
        let failures = self.totals.failure(status, message);
        failures.tries += 1;
        failures
    }
}

fn micros(time: Duration) -> u64 {
    (time.as_micros() as u64).max(1)
}
