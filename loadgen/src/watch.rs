//! Looks at what the threads have counted: tallies go in, once a second; totals, snapshots and the series of
//! seconds come out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::report::{Quantiles, Second};
use crate::schedule::Schedule;
use crate::tally::{Counts, Failures, Interval, Tally, Totals, locked};
use crate::thinned::{Point, Thinned};

/// Most points in a series: two hours of seconds.
const SERIES_MAX: usize = 7_200;

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
    series: Thinned<Second>,
    /// The last second, which may grow at the end.
    latest: Option<Second>,
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
            series: Thinned::new(SERIES_MAX),
            latest: None,
        }
    }

    /// When it has last looked.
    pub(crate) fn seen(&self) -> Instant {
        self.last.1
    }

    pub(crate) fn series(mut self) -> Vec<Second> {
        self.latest
            .into_iter()
            .for_each(|last| self.series.push(last));
        self.series.into_points()
    }

    /// Looks now. What came in less than half a second, at the end, goes to the second before.
    pub(crate) fn look(&mut self) -> (Snapshot, Totals) {
        let (totals, came) = taken(&self.tallies);
        let now = Instant::now();
        let (from, until, mut interval) =
            std::mem::replace(&mut self.last, (now, now, Interval::default()));
        let mut begun = until;
        let is_short = now.saturating_duration_since(until) < LOOK / 2;
        match self.latest.take() {
            Some(_) if is_short => {
                interval.add(&came);
                begun = from;
            }
            done => {
                done.into_iter().for_each(|done| self.series.push(done));
                interval = came;
            }
        }
        let second = self.second(begun, now, &interval);
        self.latest = Some(second);
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

impl Point for Second {
    /// Percentiles do not add up: the worse of both stands for both.
    fn with(&self, next: &Self) -> Self {
        Second {
            at: next.at,
            seconds: self.seconds + next.seconds,
            due: self.due + next.due,
            sent: self.sent + next.sent,
            acknowledged: self.acknowledged + next.acknowledged,
            failed_tries: self.failed_tries + next.failed_tries,
            latency_ms: self.latency_ms.worse(&next.latency_ms),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: two seconds become one, one of them without an answer. Guarantees: counts and lengths add up,
    /// the mean is that of all answers, and each percentile is the worse of both.
    #[test]
    fn neighbours_add_up() {
        let quiet = Second {
            at: 1.0,
            seconds: 1.0,
            due: 10,
            ..Second::default()
        };
        let mut busy = Second {
            at: 2.0,
            acknowledged: 5,
            ..quiet
        };
        busy.latency_ms = Quantiles {
            count: 2,
            mean: 3.0,
            p99: 4.0,
            ..Quantiles::default()
        };
        let slow = Second {
            at: 3.0,
            latency_ms: Quantiles {
                count: 1,
                mean: 6.0,
                p99: 6.0,
                ..Quantiles::default()
            },
            ..quiet
        };
        let whole = quiet.with(&busy);
        assert_eq!((whole.at, whole.seconds, whole.due), (2.0, 2.0, 20));
        assert_eq!((whole.acknowledged, whole.latency_ms.mean), (5, 3.0));
        let whole = busy.with(&slow);
        assert_eq!((whole.latency_ms.mean, whole.latency_ms.p99), (4.0, 6.0));
        assert_eq!(whole.latency_ms.count, 3);
    }
}
