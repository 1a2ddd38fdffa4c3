//! Looks at what the threads have counted: tallies go in, once a second; totals, snapshots and the series of
//! seconds come out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::report::{Quantiles, Second};
use crate::schedule::Schedule;
use crate::tally::{Counts, Failures, Interval, Tally, Totals, locked};

/// How often the caller is told how it goes.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// How a run goes, once a second.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Since the start.
    pub elapsed_seconds: f64,
    /// All there is so far.
    pub total: Counts,
    /// By status.
    pub failures: BTreeMap<String, Failures>,
    /// The last second.
    pub second: Second,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    tallies: Vec<Arc<Mutex<Tally>>>,
    /// Of all threads together.
    schedule: Option<Schedule>,
    start: Instant,
    /// When the last second began and ended, and what came in it.
    last: (Instant, Instant, Interval),
    series: Vec<Second>,
}

impl Watch {
    pub(crate) fn new(
        tallies: Vec<Arc<Mutex<Tally>>>,
        schedule: Option<Schedule>,
        start: Instant,
    ) -> Self {
        Watch {
            tallies,
            schedule,
            start,
            last: (start, start, Interval::default()),
            series: Vec::new(),
        }
    }

    /// When it has last looked.
    pub(crate) fn seen(&self) -> Instant {
        self.last.1
    }

    pub(crate) fn series(self) -> Vec<Second> {
        self.series
    }

    /// Looks now. What came in less than half a second, at the end, goes to the second before.
    pub(crate) fn look(&mut self) -> (Snapshot, Totals) {
        let (totals, came) = taken(&self.tallies);
        let now = Instant::now();
        let (from, until, mut interval) =
            std::mem::replace(&mut self.last, (now, now, Interval::default()));
        let mut begun = until;
        if now.saturating_duration_since(until) < LOOK / 2 && self.series.pop().is_some() {
            interval.add(&came);
            begun = from;
        } else {
            interval = came;
        }
        let second = self.second(begun, now, &interval);
        self.series.push(second);
        self.last = (begun, now, interval);
        let mut total = Counts::default();
        totals.signals.iter().for_each(|counts| total.add(counts));
        let snapshot = Snapshot {
            elapsed_seconds: second.at,
            total,
            failures: totals.failures.clone(),
            second,
        };
        (snapshot, totals)
    }

    fn second(&self, begun: Instant, now: Instant, interval: &Interval) -> Second {
        let counts = &interval.counts;
        let after = |moment: Instant| moment.saturating_duration_since(self.start);
        let due = self.schedule.map_or(counts.due, |schedule| {
            (schedule.items_by(after(now)) - schedule.items_by(after(begun))).round() as u64
        });
        Second {
            at: after(now).as_secs_f64(),
            seconds: now.saturating_duration_since(begun).as_secs_f64(),
            due,
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            failed_tries: interval.failed_tries,
            latency_ms: Quantiles::from(&interval.latencies),
        }
    }
}

/// The totals of all threads, and what came since this was last called.
fn taken(tallies: &[Arc<Mutex<Tally>>]) -> (Totals, Interval) {
    let (mut totals, mut interval) = (Totals::default(), Interval::default());
    for tally in tallies {
        let mut tally = locked(tally);
        interval.add(&std::mem::take(&mut tally.interval));
        totals.add(&tally.totals);
    }
    (totals, interval)
}
