//! The circuit breaker of one endpoint: closed while it works, open after failures, half-open once it has
//! said hello again and until an insert says how it really is. A pure state machine over a given time; it
//! neither waits nor sends.

use std::time::{Duration, Instant};

use crate::limits::{BREAKER_FAILURES, PACE_RETURN, Pace};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Takes inserts.
    Closed = 0,
    /// Has said hello since it was open; the next insert decides.
    HalfOpen = 1,
    /// Is not offered an insert before it has said hello.
    Open = 2,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    /// Failures since the last success.
    failures: u32,
    /// Not tried before, whatever else is there; `None` when there is nothing to wait for.
    rests_until: Option<Instant>,
    /// While open: not tried before as long as another endpoint works, so that one which says hello and
    /// then hangs costs the others ever less.
    returns_at: Option<Instant>,
}

/// A failure as the breaker sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) pace: Pace,
    /// Whether one is enough to open it: trying it once more would cost a whole time-out.
    pub(super) opens: bool,
    /// Whether it may only mean that a connection ended between two inserts: then the first one is
    /// followed by a new try at once.
    pub(super) may_be_stale: bool,
    /// From 0 to 1, at random.
    pub(super) jitter: f64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Breaker {
            state: BreakerState::Closed,
            failures: 0,
            rests_until: None,
            returns_at: None,
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    /// How long until it may be tried if nothing else is there.
    pub(super) fn rests_for(&self, now: Instant) -> Duration {
        left(self.rests_until, now)
    }

    /// Whether it is open and time to see, beside the endpoint that works, if it is back.
    pub(super) fn is_to_be_probed(&self, now: Instant) -> bool {
        self.state == BreakerState::Open
            && self.rests_for(now).is_zero()
            && left(self.returns_at, now).is_zero()
    }

    /// It was connected to and said hello.
    pub(super) fn reached(&mut self) {
        if self.state == BreakerState::Open {
            self.state = BreakerState::HalfOpen;
        }
    }

    /// It confirmed an insert.
    pub(super) fn succeeded(&mut self) {
        *self = Breaker::new();
    }

    /// A connection or an insert failed there.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        let at_once = failure.may_be_stale && self.failures == 1;
        let wait = failure.pace.wait(self.failures, failure.jitter);
        self.rests_until = (!at_once).then_some(now + wait);
        let was_closed = self.state == BreakerState::Closed;
        if !was_closed || failure.opens || self.failures >= BREAKER_FAILURES {
            self.state = BreakerState::Open;
            self.returns_at = Some(now + PACE_RETURN.wait(self.failures, failure.jitter));
        }
    }
}

fn left(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{PACE_SLOW, PACE_SOON, PACE_THROTTLED};

    impl Breaker {
        /// Whether an insert may go there now, ahead of endpoints that are open.
        fn is_ready(&self, now: Instant) -> bool {
            self.state != BreakerState::Open && self.rests_for(now).is_zero()
        }
    }

    fn failure(pace: Pace, jitter: f64) -> Failure {
        Failure {
            pace,
            opens: false,
            may_be_stale: false,
            jitter,
        }
    }

    /// Scenario: failures in a row, a hello, a failed insert, a hello, a confirmed one.
    /// Guarantee: closed until there were enough, then open; half-open only after a hello; one failure
    /// opens it again; a success forgets everything.
    #[test]
    fn it_opens_half_opens_and_closes() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for failures in 1..=BREAKER_FAILURES {
            assert_eq!(breaker.state(), BreakerState::Closed);
            breaker.failed(now, failure(PACE_SOON, 0.5));
            assert!(!breaker.is_ready(now), "after {failures}");
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.is_ready(now + PACE_SLOW.most));
        breaker.reached();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.is_ready(now + PACE_SOON.most));
        breaker.failed(now, failure(PACE_SOON, 0.5));
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.reached();
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.is_ready(now));
    }

    /// Scenario: a connection that may have ended between two inserts fails, twice.
    /// Guarantee: the first failure is followed by a try at once, the second by a wait.
    #[test]
    fn a_stale_connection_costs_no_wait_once() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        let stale = Failure {
            may_be_stale: true,
            ..failure(PACE_SOON, 0.0)
        };
        breaker.failed(now, stale);
        assert!(breaker.is_ready(now));
        breaker.failed(now, stale);
        assert!(!breaker.is_ready(now));
        assert!(breaker.rests_for(now) >= PACE_SOON.first);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Passes(u64),
        Reached,
        Succeeded,
        Failed {
            pace: usize,
            opens: bool,
            stale: bool,
            jitter: f64,
        },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..20_000u64).prop_map(Event::Passes),
            Just(Event::Reached),
            Just(Event::Succeeded),
            (0..3usize, any::<bool>(), any::<bool>(), 0.0..1.0).prop_map(
                |(pace, opens, stale, jitter)| Event::Failed {
                    pace,
                    opens,
                    stale,
                    jitter
                }
            ),
        ]
    }

    proptest! {
        /// Scenario: any history of time, hellos, confirmations and failures.
        /// Guarantee: no try before the pace of the last failure allows it, none is put off past its
        /// bound; never ready while open, open never left but by a hello or a success; closed with enough
        /// failures does not happen; a return is never before the rest is over.
        #[test]
        fn any_history_keeps_the_pace(events in prop::collection::vec(event(), 1..60)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new();
            let mut last: Option<(Instant, Pace, bool)> = None;
            for event in events {
                let before = breaker.state();
                match event {
                    Event::Passes(millis) => now += Duration::from_millis(millis),
                    Event::Reached => breaker.reached(),
                    Event::Succeeded => {
                        breaker.succeeded();
                        last = None;
                    }
                    Event::Failed { pace, opens, stale, jitter } => {
                        let pace = [PACE_SOON, PACE_SLOW, PACE_THROTTLED][pace];
                        let at_once = stale && breaker.failures == 0;
                        breaker.failed(now, Failure { pace, opens, may_be_stale: stale, jitter });
                        last = Some((now, pace, at_once));
                        prop_assert!(!opens || breaker.state() == BreakerState::Open);
                        prop_assert!(before == BreakerState::Closed || breaker.state() == BreakerState::Open);
                    }
                }
                if before == BreakerState::Open && breaker.state() == BreakerState::Closed {
                    prop_assert!(last.is_none());
                }
                prop_assert!(breaker.state() != BreakerState::Closed || breaker.failures < BREAKER_FAILURES);
                prop_assert!(!(breaker.is_ready(now) && breaker.state() == BreakerState::Open));
                prop_assert!(!breaker.is_to_be_probed(now) || breaker.rests_for(now).is_zero());
                match last {
                    None => prop_assert!(breaker.is_ready(now)),
                    Some((at, pace, at_once)) => {
                        let since = now - at;
                        let rests = !breaker.rests_for(now).is_zero();
                        prop_assert!(rests || at_once || since >= pace.first, "too early");
                        prop_assert!(!rests || (since < pace.most && !at_once), "too late");
                    }
                }
            }
        }
    }
}
