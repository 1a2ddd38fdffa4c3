//! Whether a rate is sustained: what the generator counted and what waited for ClickHouse meanwhile go in, the
//! reasons against it come out. Plain arithmetic over made or measured figures.

use spanmill_loadgen::Counts;

use crate::sample::Sample;
use crate::words::{count, ms};

/// Seconds of the rate that a backlog may grow by within a stretch: batches come and go once a second.
const GROWTH_SECONDS: (f64, f64) = (1.25, 3.0);
/// The same as a part of the time between its first and its last third.
const GROWTH_PART: f64 = 0.05;
/// Parts may grow by half and so many, as merges come and go.
const PARTS_SLACK: (f64, f64) = (1.5, 150.0);

/// What the generator counted.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) total: Counts,
    /// Whether a schedule set the pace, not the answers.
    pub(crate) is_open: bool,
    /// Of sending; more than 0.
    pub(crate) seconds: f64,
    pub(crate) ack_p99_ms: f64,
    pub(crate) ack_p99_max_ms: f64,
    /// Requests that waited for room among those in flight.
    pub(crate) held_up: u64,
}

/// Why the load was not sustained, in words; none when it was.
pub(crate) fn reasons(load: &Load, samples: &[&Sample]) -> Vec<String> {
    let Counts {
        acknowledged,
        rejected,
        failed,
        unknown,
        not_sent,
        ..
    } = load.total;
    let lost = [
        ("rejected", rejected),
        ("refused", failed),
        ("not answered", unknown),
        ("not sent", not_sent),
    ];
    let lost = lost.into_iter().filter(|(_, spans)| *spans > 0);
    let words = |(what, spans)| format!("{} spans {what}", count(spans as f64));
    let mut reasons: Vec<String> = lost.map(words).collect();
    if acknowledged == 0 {
        reasons.push("nothing was acknowledged".into());
    }
    if !load.is_open {
        return reasons;
    }
    if load.ack_p99_ms > load.ack_p99_max_ms {
        let took = ms(load.ack_p99_ms);
        reasons.push(format!("1 % of acknowledgements took {took} or longer"));
    }
    if load.held_up > 0 {
        let held_up = load.held_up;
        reasons.push(format!(
            "{held_up} requests waited until others were answered"
        ));
    }
    reasons.extend(growing_backlog(acknowledged as f64 / load.seconds, samples));
    reasons.extend(growing_parts(samples));
    reasons
}

fn growing_backlog(rate: f64, samples: &[&Sample]) -> Option<String> {
    let backlog: Vec<_> = samples
        .iter()
        .filter_map(|sample| Some((sample.at, sample.backlog_rows?)))
        .collect();
    let (first, last) = thirds(&backlog)?;
    let (seconds, grown) = (last.0 - first.0, last.1 - first.1);
    let allowed = (GROWTH_PART * seconds).clamp(GROWTH_SECONDS.0, GROWTH_SECONDS.1);
    let words = || {
        let grown = count(grown);
        format!("what waits for ClickHouse grew by {grown} rows within {seconds:.0} s")
    };
    (grown > rate * allowed).then(words)
}

fn growing_parts(samples: &[&Sample]) -> Option<String> {
    let parts: Vec<_> = samples
        .iter()
        .filter_map(|sample| Some((sample.at, sample.parts_of_partition?)))
        .collect();
    let (first, last) = thirds(&parts)?;
    let words = || {
        let (from, to) = (first.1, last.1);
        format!("parts of one partition grew from {from:.0} to {to:.0}")
    };
    (last.1 > first.1 * PARTS_SLACK.0 + PARTS_SLACK.1).then(words)
}

/// Mean time and level of the first and of the last third.
fn thirds(points: &[(f64, f64)]) -> Option<((f64, f64), (f64, f64))> {
    let third = points.len() / 3;
    let of = |points: &[(f64, f64)]| {
        let at = mean(points.iter().map(|(at, _)| *at))?;
        Some((at, mean(points.iter().map(|(_, level)| *level))?))
    };
    Some((of(&points[..third])?, of(&points[points.len() - third..])?))
}

/// `None` of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let add = |(sum, count), value| (sum + value, count + 1.0);
    let (sum, count) = values.fold((0.0, 0.0), add);
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(acknowledged: u64) -> Load {
        Load {
            total: Counts {
                due: acknowledged,
                sent: acknowledged,
                acknowledged,
                ..Counts::default()
            },
            is_open: true,
            seconds: 60.0,
            ack_p99_ms: 5.0,
            ack_p99_max_ms: 1000.0,
            held_up: 0,
        }
    }

    /// A minute of samples.
    fn minute(backlog: impl Fn(f64) -> f64, parts: impl Fn(f64) -> f64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: second,
            seconds: 1.0,
            backlog_rows: Some(backlog(second)),
            parts_of_partition: Some(parts(second)),
            ..Sample::default()
        };
        (1..=60).map(|second| sample(f64::from(second))).collect()
    }

    fn reasons_of(load: &Load, samples: &[Sample]) -> Vec<String> {
        reasons(load, &samples.iter().collect::<Vec<_>>())
    }

    /// Scenario: 100,000 spans a second for a minute, with a backlog that comes and goes with each batch, and one
    /// that grows by a tenth of what comes; parts that come and go, and that only come. Guarantees: only what grows
    /// counts against the rate.
    #[test]
    fn only_growth_counts() {
        let load = load(6_000_000);
        let sawtooth = |second: f64| 100_000.0 + (second % 2.0) * 100_000.0;
        let merged = |second: f64| 100.0 + (second % 7.0) * 10.0;
        let steady = minute(sawtooth, merged);
        assert_eq!(reasons_of(&load, &steady), Vec::<String>::new());
        let growing = minute(|second| sawtooth(second) + second * 10_000.0, merged);
        let said = reasons_of(&load, &growing);
        assert!(
            said.len() == 1 && said[0].contains("waits for ClickHouse"),
            "{said:?}"
        );
        let unmerged = minute(sawtooth, |second| 10.0 + second * 10.0);
        let said = reasons_of(&load, &unmerged);
        assert!(said.len() == 1 && said[0].contains("parts"), "{said:?}");
        assert_eq!(reasons_of(&load, &[]), Vec::<String>::new());
    }

    /// Scenario: spans that were refused, not answered, not sent; late acknowledgements; a generator that was held
    /// up; a closed loop. Guarantees: each is a reason with its number, and a closed loop has no latency to keep.
    #[test]
    fn every_loss_is_a_reason() {
        let mut bad = load(1000);
        (bad.total.failed, bad.total.unknown, bad.total.not_sent) = (1, 2, 3000);
        (bad.ack_p99_ms, bad.held_up) = (1500.0, 7);
        let said = reasons_of(&bad, &[]).join("; ");
        for reason in [
            "1 spans refused",
            "2 spans not answered",
            "3,000 spans not sent",
            "1.5 s",
            "7 requests",
        ] {
            assert!(said.contains(reason), "{reason} in {said}");
        }
        bad.total = load(1000).total;
        bad.is_open = false;
        assert_eq!(reasons_of(&bad, &[]), Vec::<String>::new());
        assert_eq!(reasons_of(&load(0), &[]), ["nothing was acknowledged"]);
    }
}
