//! Whether a long run ended as it began: samples of its first and of its last stretch go in, what changed comes
//! out. Plain arithmetic.

use serde::Serialize;

use crate::sample::{LoadPoint, Sample};

const HOUR: f64 = 3600.0;
/// Seconds: in less than that, what comes and goes looks like drift.
const LEAST: f64 = 600.0;

/// One figure at the beginning and at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Drift {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// What the last may be at most.
    pub(crate) most: f64,
}

impl Drift {
    pub(crate) fn is_within(&self) -> bool {
        self.last <= self.most
    }
}

/// Compares the first with the last hour between `from` and `until`, or the first with the last quarter of less
/// than four hours. The figures that nobody measured are missing, and all of them in less than ten minutes.
pub(crate) fn drift(samples: &[Sample], load: &[LoadPoint], from: f64, until: f64) -> Vec<Drift> {
    if until - from < LEAST {
        return Vec::new();
    }
    let stretch = ((until - from) / 4.0).min(HOUR);
    let compare = |points: Vec<(f64, f64)>, what, unit, (part, slack): (f64, f64)| {
        let first = median(
            points
                .iter()
                .filter(|(at, _)| *at > from && *at <= from + stretch),
        )?;
        let last = median(
            points
                .iter()
                .filter(|(at, _)| *at > until - stretch && *at <= until),
        )?;
        Some(Drift {
            what,
            unit,
            first,
            last,
            most: first * part + slack,
        })
    };
    let sampled = |of: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        samples
            .iter()
            .filter_map(|sample| Some((sample.at, of(sample)?)))
            .collect()
    };
    let p99 = load
        .iter()
        .filter_map(|point| Some((point.at, point.p99_ms?)))
        .collect();
    // Merges come and go, so parts have room; memory and latency have little.
    let all = [
        compare(
            sampled(|s| s.engine_rss_bytes.map(|b| b / 1e6)),
            "engine memory",
            "MB",
            (1.1, 32.0),
        ),
        compare(sampled(|s| s.parts), "active parts", "parts", (1.5, 150.0)),
        compare(
            sampled(|s| s.backlog_rows),
            "rows that wait for ClickHouse",
            "rows",
            (1.5, 100_000.0),
        ),
        compare(p99, "ack p99", "ms", (1.5, 10.0)),
    ];
    all.into_iter().flatten().collect()
}

fn median<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<f64> {
    let mut levels: Vec<f64> = points.map(|(_, level)| *level).collect();
    levels.sort_by(f64::total_cmp);
    levels.get(levels.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(rss: impl Fn(f64) -> f64) -> Vec<Sample> {
        let sample = |minute: i32| {
            let at = f64::from(minute) * 60.0;
            Sample {
                at,
                seconds: 60.0,
                engine_rss_bytes: Some(rss(at / HOUR)),
                parts: Some(300.0),
                ..Sample::default()
            }
        };
        (1..=480).map(sample).collect()
    }

    /// Scenario: eight hours of memory that stays, that leaks 20 MB an hour, and that has one high moment in the
    /// last hour. Guarantees: only the leak is drift, and what nobody measured is not compared.
    #[test]
    fn a_leak_is_drift() {
        let judged = |rss: &dyn Fn(f64) -> f64| {
            let drifts = drift(&hours(rss), &[], 0.0, 8.0 * HOUR);
            assert_eq!(drifts.len(), 2);
            assert!(drifts[1].is_within());
            drifts[0].is_within()
        };
        assert!(judged(&|_| 2e8));
        assert!(!judged(&|hour| 2e8 + hour * 2e7));
        assert!(judged(&|hour| if hour > 7.9 { 9e9 } else { 2e8 }));
        assert!(drift(&[], &[], 0.0, 8.0 * HOUR).is_empty());
        assert!(drift(&hours(|_| 2e8), &[], 0.0, 500.0).is_empty());
    }
}
