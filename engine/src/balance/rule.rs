//! Who gets what: plain functions over what is known of each shard, without clocks or channels.

use crate::limits::BODIES_WAITING_MAX;

/// When a body is walked by another shard than the one whose connection brought it. Handing over costs
/// 40 to 70 µs of CPU, and the walk of a MiB about a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// Bytes of a body, as it was sent, from which on it is worth handing over.
    pub body_bytes_min: usize,
    /// Percent of a core from which on a shard hands over; it goes on until it uses less than half as
    /// much. 0 is always.
    pub busy_percent_min: u8,
    /// Percent of a core that a shard may use for connections of its own and still be handed bodies. 100
    /// is always.
    pub idle_percent_max: u8,
}

impl Default for HandOver {
    fn default() -> Self {
        HandOver {
            body_bytes_min: 128 << 10,
            busy_percent_min: 80,
            idle_percent_max: 60,
        }
    }
}

/// What shards see of each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Connections open, and on their way to it.
    pub(super) connections: usize,
    /// Bodies handed to it that it has not walked yet.
    pub(super) bodies: usize,
    /// Percent of a core that it uses, but for handed bodies.
    pub(super) busy_percent: u8,
    /// Whether it takes requests.
    pub(super) available: bool,
}

/// The shard that a fresh connection goes to: fewest connections, so that a burst of them spreads evenly
/// before any has sent a byte; among equals the least busy, and `own` before others.
pub(super) fn least_loaded(shards: impl Iterator<Item = Seen>, own: usize) -> usize {
    let load = |(index, seen): &(usize, Seen)| (seen.connections, seen.busy_percent, *index != own);
    let least = shards.enumerate().min_by_key(load);
    least.map_or(own, |(index, _)| index)
}

/// Whether a shard hands over from now on, by what it used of its core lately.
pub(super) fn presses(before: bool, busy_percent: u8, rules: &HandOver) -> bool {
    let min = rules.busy_percent_min;
    // Its own handing over makes it less busy; without a lower bound to stop at it would go on and off.
    busy_percent >= if before { min / 2 } else { min }
}

/// The shard that takes a body: the one with the fewest bodies waiting, of those that have little to do for
/// themselves; among equals the first behind `last`, so that they take turns. `None` when there is no such
/// shard: the body is then best walked where it is.
pub(super) fn taker(
    shards: impl ExactSizeIterator<Item = Seen>,
    own: usize,
    last: usize,
    rules: &HandOver,
) -> Option<usize> {
    let count = shards.len();
    let takes = |(index, seen): &(usize, Seen)| {
        *index != own
            && seen.available
            && seen.bodies < BODIES_WAITING_MAX
            && seen.busy_percent <= rules.idle_percent_max
    };
    let turn = |index: usize| (index + count - last - 1) % count;
    let takers = shards.enumerate().filter(takes);
    let best = takers.min_by_key(|(index, seen)| (seen.bodies, turn(*index)));
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: HandOver = HandOver {
        body_bytes_min: 1,
        busy_percent_min: 80,
        idle_percent_max: 60,
    };

    fn connections(counts: [usize; 4]) -> impl Iterator<Item = Seen> {
        counts.into_iter().map(|connections| Seen {
            connections,
            ..Seen::default()
        })
    }

    fn idle(bodies: [usize; 4]) -> [Seen; 4] {
        bodies.map(|bodies| Seen {
            bodies,
            available: true,
            ..Seen::default()
        })
    }

    /// Scenario: fresh connections are accepted by one shard of four, whatever the kernel's hash did.
    /// Guarantee: eight of them become two for each shard, and equals stay where they were accepted.
    #[test]
    fn connections_spread_evenly() {
        let mut counts = [0; 4];
        for _ in 0..8 {
            counts[least_loaded(connections(counts), 2)] += 1;
        }
        assert_eq!(counts, [2; 4]);
        assert_eq!(least_loaded(connections(counts), 2), 2);
        assert_eq!(least_loaded(connections([3, 1, 2, 2]), 0), 1);
    }

    /// Scenario: two shards have the same number of connections, and one of them is busy.
    /// Guarantee: the other gets the next one, though the busy one accepted it; fewer connections count
    /// for more than that.
    #[test]
    fn busy_shards_come_last_among_equals() {
        let mut shards = idle([0; 4]);
        shards[0].busy_percent = 90;
        shards[1].busy_percent = 10;
        shards[2].connections = 1;
        shards[3].connections = 1;
        assert_eq!(least_loaded(shards.into_iter(), 0), 1);
        shards[1].connections = 1;
        assert_eq!(least_loaded(shards.into_iter(), 1), 0);
    }

    /// Scenario: a shard becomes busy, hands over, has less to do for it, and then nothing.
    /// Guarantee: it starts at the bound and goes on until half of it; a bound of 0 is always.
    #[test]
    fn pressing_has_two_bounds() {
        assert!(!presses(false, 79, &RULES));
        assert!(presses(false, 80, &RULES));
        assert!(presses(true, 40, &RULES));
        assert!(!presses(true, 39, &RULES));
        let always = HandOver {
            busy_percent_min: 0,
            ..RULES
        };
        assert!(presses(false, 0, &always));
    }

    /// Scenario: a shard hands over one body after the other while the others are idle.
    /// Guarantee: they take turns, nobody more than fits its queue, and never the shard itself.
    #[test]
    fn idle_shards_take_turns() {
        let mut waiting = [0; 4];
        let mut last = 1;
        let mut order = Vec::new();
        while let Some(next) = taker(idle(waiting).into_iter(), 1, last, &RULES) {
            waiting[next] += 1;
            last = next;
            order.push(next);
        }
        assert_eq!(order, [2, 3, 0].repeat(BODIES_WAITING_MAX));
        assert_eq!(waiting[1], 0);
        // Turns go on behind the last one also when everybody is idle again.
        assert_eq!(taker(idle([0; 4]).into_iter(), 1, 2, &RULES), Some(3));
    }

    /// Scenario: the others are busy with their own connections, cannot reach ClickHouse, or are not there.
    /// Guarantee: the body stays; as soon as one of them can take it, that one does.
    #[test]
    fn nobody_idle_takes_nothing() {
        let mut shards = idle([0; 4]);
        shards[1].busy_percent = 61;
        shards[2].available = false;
        shards[3].bodies = BODIES_WAITING_MAX;
        assert_eq!(taker(shards.into_iter(), 0, 0, &RULES), None);
        shards[1].busy_percent = 60;
        assert_eq!(taker(shards.into_iter(), 0, 0, &RULES), Some(1));
        assert_eq!(taker(shards[..1].iter().copied(), 0, 0, &RULES), None);
    }
}
