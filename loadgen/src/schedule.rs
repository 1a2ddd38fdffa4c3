//! When each item is due, and which time it says: plain arithmetic over the rate, its ramp and the duration; no clock is read.

use std::time::Duration;

/// A rate that rises from 0 in a straight line and then stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Items a second once the ramp has ended; more than 0.
    pub rate: f64,
    /// How long the rate rises.
    pub ramp: Duration,
    /// When it ends; nothing is due from then on.
    pub duration: Duration,
}

impl Schedule {
    /// When the item with this number (from 0) is due after the start.
    #[must_use]
    pub fn due(&self, item: f64) -> Duration {
        let ramp = self.ramp.as_secs_f64();
        // The line's area up to t is rate · t² / 2 ramp; at its end rate · ramp / 2.
        let seconds = if item < self.rate * ramp / 2.0 {
            (2.0 * ramp * item / self.rate).sqrt()
        } else {
            item / self.rate + ramp / 2.0
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// How many items are due within so long after the start.
    #[must_use]
    pub fn items_by(&self, after: Duration) -> f64 {
        let after = after.min(self.duration);
        let rising = after.min(self.ramp).as_secs_f64();
        let steady = after.saturating_sub(self.ramp).as_secs_f64();
        let ramp = self.ramp.as_secs_f64().max(f64::MIN_POSITIVE);
        self.rate * (rising * rising / ramp / 2.0 + steady)
    }

    /// The same, or `None` when it is past the end.
    #[must_use]
    pub fn due_within(&self, item: f64) -> Option<Duration> {
        Some(self.due(item)).filter(|due| *due < self.duration)
    }
}

/// The times that items say: those of their sending, or of a past that ends with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    /// Of what is due at the start, in nanoseconds since 1970.
    first: u64,
    /// Of these times for each nanosecond of the schedule, from 1 up.
    stretch: f64,
}

impl Times {
    /// The times of a run that begins at `start` (nanoseconds since 1970), lasts `duration` (not 0) and tells the
    /// `spread` before its end.
    pub(crate) fn new(start: u64, duration: Duration, spread: Duration) -> Self {
        Times {
            first: start.saturating_sub(spread.as_nanos() as u64),
            stretch: 1.0 + spread.as_secs_f64() / duration.as_secs_f64(),
        }
    }

    /// Of what is due so long after the start, in nanoseconds since 1970.
    pub(crate) fn at(self, due: Duration) -> u64 {
        match self.stretch {
            1.0 => self.first.saturating_add(due.as_nanos() as u64),
            stretch => self.first + (due.as_nanos() as f64 * stretch) as u64,
        }
    }

    /// How many items there are in a second of these times, of so many that are sent in one.
    pub(crate) fn rate(self, sent: f64) -> f64 {
        sent / self.stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Scenario: 1,000 items a second without a ramp. Guarantees: items are due evenly from the start on, and
    /// as many as rate times duration.
    #[test]
    fn a_steady_rate_is_even() {
        let schedule = Schedule {
            rate: 1000.0,
            ramp: Duration::ZERO,
            duration: 2 * SECOND,
        };
        assert_eq!(schedule.due(0.0), Duration::ZERO);
        assert_eq!(schedule.due(500.0), SECOND / 2);
        let due = (0..5000).filter(|item| schedule.due_within(f64::from(*item)).is_some());
        assert_eq!(due.count(), 2000);
        let slow = Schedule {
            rate: 1e-300,
            ..schedule
        };
        assert_eq!(slow.due(512.0), Duration::MAX);
    }

    /// Scenario: a ramp of 10 s up to 1,000 items a second. Guarantees: at its half a quarter of its items are
    /// due, its end meets the steady rate without a step, and due times never go back.
    #[test]
    fn a_ramp_rises_in_a_line() {
        let schedule = Schedule {
            rate: 1000.0,
            ramp: 10 * SECOND,
            duration: 12 * SECOND,
        };
        assert_eq!(schedule.due(1250.0), 5 * SECOND);
        assert_eq!(schedule.due(5000.0), 10 * SECOND);
        assert_eq!(schedule.due(6000.0), 11 * SECOND);
        for item in [1250.0, 5000.0, 6000.0] {
            assert!((schedule.items_by(schedule.due(item)) - item).abs() < 1e-3);
        }
        assert!((schedule.items_by(100 * SECOND) - 7000.0).abs() < 1e-6);
        let around = schedule.due(5000.5) - schedule.due(4999.5);
        assert!(around.abs_diff(SECOND / 1000) < SECOND / 100_000);
        let due: Vec<_> = (0..8000)
            .map(|item| schedule.due(f64::from(item)))
            .collect();
        assert!(due.is_sorted());
        let within = (0..8000).filter(|item| schedule.due_within(f64::from(*item)).is_some());
        assert_eq!(within.count(), 7000);
    }

    /// Scenario: runs of 50 s, as they are and spread over a day. Guarantees: the former say when they are due, to
    /// the nanosecond; the latter begin a day early, go on evenly, end when the run does, and hold as many items.
    #[test]
    fn times_are_spread_over_the_past() {
        const NOW: u64 = 1_790_000_000_123_456_789;
        let day = 86_400 * SECOND;
        let plain = Times::new(NOW, 50 * SECOND, Duration::ZERO);
        assert_eq!(plain.at(Duration::from_nanos(7)), NOW + 7);
        assert_eq!(plain.rate(1000.0), 1000.0);
        let spread = Times::new(NOW, 50 * SECOND, day);
        let before = |after: Duration| (NOW + 50_000_000_000 - spread.at(after)) as f64 / 1e9;
        assert_eq!(before(Duration::ZERO), 86_450.0);
        for part in [0.25, 0.5, 1.0] {
            let left = 86_450.0 * (1.0 - part);
            assert!((before((50 * SECOND).mul_f64(part)) - left).abs() < 1e-3);
        }
        assert!((spread.rate(1000.0) * 86_450.0 - 50_000.0).abs() < 1e-6);
    }
}
