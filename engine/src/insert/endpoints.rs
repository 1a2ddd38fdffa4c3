//! The endpoints of a shard, each with its breaker: which one the next insert goes to, and when. They are
//! replicas of one ClickHouse shard, so any will do. Pure decisions over a given time; no sockets.
//!
//! Each shard prefers them in an order of its own, the list turned by the shard's number, so that shards
//! begin at different replicas. An insert goes to the first that is ready. So after a failover a shard
//! returns to the one it prefers when that is back, or else a rolling restart would leave all load on the
//! replica that was restarted first. It returns between two inserts, when nothing is in flight.
//!
//! A batch whose outcome on one replica is unknown may be sent to another under the same token: replicated
//! tables share their deduplication log in Keeper. Tables that are not replicated do not, so with those
//! there must be one endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerState, Failure};
use super::failure::FailureKind;

/// See the module.
pub(super) struct Endpoints {
    /// In the order in which this shard prefers them.
    list: Vec<Endpoint>,
    /// Failures in a row that are no endpoint's own, and when the next try may be.
    pause: (u32, Option<Instant>),
}

struct Endpoint {
    address: Arc<str>,
    /// Its place in the configured list.
    number: usize,
    breaker: Breaker,
}

/// What to do about the next insert.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Send it to this endpoint.
    Use(usize),
    /// None may be tried before.
    Wait(Duration),
}

impl Endpoints {
    /// Those of shard `shard`; `addresses` are at least one.
    pub(super) fn new(addresses: &[String], shard: usize) -> Self {
        let numbered = addresses.iter().enumerate();
        let mut list: Vec<_> = numbered
            .map(|(number, address)| Endpoint {
                address: address.as_str().into(),
                number,
                breaker: Breaker::new(),
            })
            .collect();
        let turn = shard % list.len().max(1);
        list.rotate_left(turn);
        Endpoints {
            list,
            pause: (0, None),
        }
    }

    pub(super) fn address(&self, index: usize) -> &Arc<str> {
        &self.list[index].address
    }

    /// Each one's place in the configured list and its breaker's state.
    pub(super) fn states(&self) -> impl Iterator<Item = (usize, BreakerState)> {
        let state = |endpoint: &Endpoint| (endpoint.number, endpoint.breaker.state());
        self.list.iter().map(state)
    }

    /// Where the next insert goes. Open ones only when all are: then the one that rested longest, since
    /// whether it is back is only known by trying.
    pub(super) fn choose(&self, now: Instant) -> Choice {
        let paused = self.pause.1.map(|until| until.duration_since(now));
        if let Some(paused) = paused.filter(|paused| !paused.is_zero()) {
            return Choice::Wait(paused);
        }
        let breakers = self.list.iter().map(|endpoint| &endpoint.breaker);
        let is_open = |breaker: &Breaker| breaker.state() == BreakerState::Open;
        let all_open = breakers.clone().all(is_open);
        let rests = breakers
            .enumerate()
            .filter(|(_, breaker)| all_open || !is_open(breaker))
            .map(|(index, breaker)| (breaker.rests_for(now), index));
        match rests.min() {
            Some((Duration::ZERO, index)) => Choice::Use(index),
            Some((rest, _)) => Choice::Wait(rest),
            None => Choice::Wait(crate::limits::BACKOFF_MAX),
        }
    }

    /// Those to look at while `used` works, to learn whether they are back.
    pub(super) fn to_probe(&self, now: Instant, used: usize) -> impl Iterator<Item = usize> {
        let due = move |(index, endpoint): (usize, &Endpoint)| {
            (index != used && endpoint.breaker.is_to_be_probed(now)).then_some(index)
        };
        self.list.iter().enumerate().filter_map(due)
    }

    /// It was connected to and said hello.
    pub(super) fn reached(&mut self, index: usize) {
        self.list[index].breaker.reached();
    }

    /// It confirmed an insert.
    pub(super) fn succeeded(&mut self, index: usize) {
        self.list[index].breaker.succeeded();
        self.pause = (0, None);
    }

    /// A try there failed; `sent` when it was an insert on a connection that had been established.
    pub(super) fn failed(
        &mut self,
        index: usize,
        kind: FailureKind,
        sent: bool,
        now: Instant,
        jitter: f64,
    ) {
        let pace = kind.pace();
        if kind.is_of_endpoint() {
            let failure = Failure {
                pace,
                opens: kind == FailureKind::Timeout,
                may_be_stale: sent && kind == FailureKind::Network,
                jitter,
            };
            self.list[index].breaker.failed(now, failure);
        } else {
            let failures = self.pause.0.saturating_add(1);
            self.pause = (failures, Some(now + pace.wait(failures, jitter)));
        }
    }

    /// How long until a try makes sense.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        match self.choose(now) {
            Choice::Use(_) => Duration::ZERO,
            Choice::Wait(wait) => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{BREAKER_FAILURES, PACE_RETURN, PACE_SOON, PACE_THROTTLED};

    fn endpoints(count: usize, shard: usize) -> Endpoints {
        let addresses: Vec<_> = (0..count).map(|n| format!("host{n}:9000")).collect();
        Endpoints::new(&addresses, shard)
    }

    /// Scenario: four shards and three endpoints.
    /// Guarantee: they begin one at each, and the fourth at the first again.
    #[test]
    fn shards_begin_at_different_endpoints() {
        let first = |shard| endpoints(3, shard).address(0).to_string();
        assert_eq!(
            [0, 1, 2, 3].map(first),
            ["host0:9000", "host1:9000", "host2:9000", "host0:9000"]
        );
    }

    /// Scenario: the preferred endpoint hangs, comes back, and confirms an insert.
    /// Guarantee: one time-out opens it; the other is used at once and without a wait; it is probed, not
    /// used, until it says hello; then it is preferred again.
    #[test]
    fn a_hung_endpoint_is_left_and_returned_to() {
        let mut now = Instant::now();
        let mut two = endpoints(2, 0);
        assert_eq!(two.choose(now), Choice::Use(0));
        two.failed(0, FailureKind::Timeout, true, now, 0.5);
        assert_eq!(two.choose(now), Choice::Use(1));
        assert_eq!(two.to_probe(now, 1).count(), 0);
        now += PACE_RETURN.most;
        assert_eq!(two.choose(now), Choice::Use(1));
        assert_eq!(two.to_probe(now, 1).collect::<Vec<_>>(), [0]);
        two.reached(0);
        assert_eq!(two.choose(now), Choice::Use(0));
        two.succeeded(0);
        assert!(two.states().all(|(_, state)| state == BreakerState::Closed));
    }

    /// Scenario: too many parts, again and again.
    /// Guarantee: no failover and no open breaker; each wait is within its pace; a success ends it.
    #[test]
    fn too_many_parts_slow_down_and_blame_nobody() {
        let mut now = Instant::now();
        let mut two = endpoints(2, 0);
        for _ in 0..2 * BREAKER_FAILURES {
            assert_eq!(two.choose(now), Choice::Use(0));
            two.failed(0, FailureKind::TooManyParts, true, now, 0.9);
            let wait = two.wait(now);
            assert!(wait >= PACE_THROTTLED.first && wait <= PACE_THROTTLED.most);
            now += wait;
        }
        assert!(two.states().all(|(_, state)| state == BreakerState::Closed));
        two.failed(0, FailureKind::TooManyParts, true, now, 0.9);
        two.succeeded(0);
        assert_eq!(two.choose(now), Choice::Use(0));
    }

    /// Scenario: every endpoint is down for long, then the second is back.
    /// Guarantee: all are tried in turn, none more often than its pace allows, and the second is found
    /// within the pace of the failures, not of the return.
    #[test]
    fn when_all_are_down_all_are_tried() {
        let mut now = Instant::now();
        let mut three = endpoints(3, 0);
        let mut tries = [0; 3];
        for _ in 0..60 {
            match three.choose(now) {
                Choice::Use(index) => {
                    tries[index] += 1;
                    three.failed(index, FailureKind::Network, false, now, 0.7);
                }
                Choice::Wait(wait) => {
                    assert!(wait <= PACE_SOON.most);
                    now += wait;
                }
            }
        }
        assert!(tries.iter().all(|tries| *tries >= 10), "{tries:?}");
        let back_at = now;
        loop {
            match three.choose(now) {
                Choice::Use(1) => break,
                Choice::Use(index) => three.failed(index, FailureKind::Network, false, now, 0.7),
                Choice::Wait(wait) => now += wait,
            }
        }
        assert!(now - back_at <= PACE_SOON.most);
        three.reached(1);
        three.succeeded(1);
        assert_eq!(three.choose(now), Choice::Use(1));
    }

    proptest! {
        /// Scenario: one endpoint works, the others fail as they like for as long as they like.
        /// Guarantee: after the first failures each insert finds the working endpoint without a wait, and
        /// a dead endpoint gets no insert that it did not say hello for first.
        #[test]
        fn dead_endpoints_do_not_slow_the_healthy_one(
            healthy in 0..3usize,
            kinds in prop::collection::vec(0..FailureKind::ALL.len(), 3),
            steps in prop::collection::vec((0..3_000u64, 0.0..1.0f64), 50..200),
        ) {
            let mut now = Instant::now();
            let mut three = endpoints(3, 0);
            let mut failures = [0u32; 3];
            for (millis, jitter) in steps {
                now += Duration::from_millis(millis);
                // One insert, tried until it is stored.
                loop {
                    let index = match three.choose(now) {
                        Choice::Use(index) => index,
                        Choice::Wait(wait) => return Err(TestCaseError::fail(format!("waits {wait:?}"))),
                    };
                    if index == healthy {
                        three.reached(index);
                        three.succeeded(index);
                        break;
                    }
                    let kind = FailureKind::ALL[kinds[index]];
                    let kind = if kind.is_of_endpoint() { kind } else { FailureKind::Network };
                    failures[index] += 1;
                    prop_assert!(failures[index] <= BREAKER_FAILURES + 1, "offered too often");
                    three.failed(index, kind, true, now, jitter);
                }
                let probes: Vec<_> = three.to_probe(now, healthy).collect();
                for index in probes {
                    // A dead one does not say hello.
                    three.failed(index, FailureKind::Timeout, false, now, jitter);
                }
            }
        }
    }
}
