//! What was seen at one moment or up to it, by certification itself and by the generator, and what becomes of two
//! neighbours when a series is thinned.

use serde::Serialize;
use spanmill_loadgen::{Point, Second};

/// Most points of a series: more than a plot has pixels.
pub(crate) const POINTS_MAX: usize = 1_200;

/// The processes at one moment, or in the time up to it. What could not be asked is missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Seconds after the start, at the end of what this stands for.
    pub(crate) at: f64,
    /// Seconds that it stands for.
    pub(crate) seconds: f64,
    /// CPUs that were busy.
    pub(crate) engine_cpus: Option<f64>,
    pub(crate) clickhouse_cpus: Option<f64>,
    pub(crate) loadgen_cpus: Option<f64>,
    pub(crate) inserted_per_second: Option<f64>,
    pub(crate) engine_rss_bytes: Option<f64>,
    pub(crate) clickhouse_memory_bytes: Option<f64>,
    /// Rows that were walked and not inserted yet.
    pub(crate) backlog_rows: Option<f64>,
    pub(crate) log_bytes: Option<f64>,
    pub(crate) parts: Option<f64>,
    pub(crate) parts_of_partition: Option<f64>,
    pub(crate) merges: Option<f64>,
}

/// What the generator saw in the time up to a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct LoadPoint {
    pub(crate) at: f64,
    pub(crate) seconds: f64,
    pub(crate) due_per_second: f64,
    pub(crate) acknowledged_per_second: f64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p90_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl LoadPoint {
    /// Of a second of a stretch that began `offset` seconds after the run.
    pub(crate) fn of(second: &Second, offset: f64) -> Self {
        let seconds = second.seconds.max(f64::MIN_POSITIVE);
        let latency = Some(second.latency_ms).filter(|latency| latency.count > 0);
        LoadPoint {
            at: second.at + offset,
            seconds,
            due_per_second: second.due as f64 / seconds,
            acknowledged_per_second: second.acknowledged as f64 / seconds,
            p50_ms: latency.map(|latency| latency.p50),
            p99_ms: latency.map(|latency| latency.p99),
            p90_ms: latency.map(|latency| latency.p90),
        }
    }
}

impl Point for Sample {
    /// Rates keep their mean, levels their highest.
    fn with(&self, next: &Self) -> Self {
        let rate = |of: fn(&Sample) -> Option<f64>| {
            mean((of(self), self.seconds), (of(next), next.seconds))
        };
        let level = |of: fn(&Sample) -> Option<f64>| most(of(self), of(next));
        Sample {
            at: next.at,
            seconds: self.seconds + next.seconds,
            engine_cpus: rate(|sample| sample.engine_cpus),
            clickhouse_cpus: rate(|sample| sample.clickhouse_cpus),
            loadgen_cpus: rate(|sample| sample.loadgen_cpus),
            inserted_per_second: rate(|sample| sample.inserted_per_second),
            engine_rss_bytes: level(|sample| sample.engine_rss_bytes),
            clickhouse_memory_bytes: level(|sample| sample.clickhouse_memory_bytes),
            backlog_rows: level(|sample| sample.backlog_rows),
            log_bytes: level(|sample| sample.log_bytes),
            parts: level(|sample| sample.parts),
            parts_of_partition: level(|sample| sample.parts_of_partition),
            merges: rate(|sample| sample.merges),
        }
    }
}

impl Point for LoadPoint {
    /// Rates keep their mean, latencies the worse.
    fn with(&self, next: &Self) -> Self {
        let rate = |own: f64, other: f64| {
            let all = self.seconds + next.seconds;
            (own * self.seconds + other * next.seconds) / all.max(f64::MIN_POSITIVE)
        };
        LoadPoint {
            at: next.at,
            seconds: self.seconds + next.seconds,
            due_per_second: rate(self.due_per_second, next.due_per_second),
            acknowledged_per_second: rate(
                self.acknowledged_per_second,
                next.acknowledged_per_second,
            ),
            p50_ms: most(self.p50_ms, next.p50_ms),
            p99_ms: most(self.p99_ms, next.p99_ms),
            p90_ms: most(self.p90_ms, next.p90_ms),
        }
    }
}

fn mean(own: (Option<f64>, f64), next: (Option<f64>, f64)) -> Option<f64> {
    match (own, next) {
        ((Some(own), own_seconds), (Some(next), next_seconds)) => {
            let all = (own_seconds + next_seconds).max(f64::MIN_POSITIVE);
            Some((own * own_seconds + next * next_seconds) / all)
        }
        ((own, _), (next, _)) => own.or(next),
    }
}

fn most(own: Option<f64>, next: Option<f64>) -> Option<f64> {
    match (own, next) {
        (Some(own), Some(next)) => Some(own.max(next)),
        _ => own.or(next),
    }
}

#[cfg(test)]
mod tests {
    use spanmill_loadgen::Thinned;

    use super::*;

    /// Scenario: a day of samples, with one high level and one that could not be asked. Guarantees: the series
    /// stays bounded, still spans the whole day without gaps, keeps the high level and the mean rate.
    #[test]
    fn a_day_fits() {
        let mut series = Thinned::new(POINTS_MAX);
        for second in 1..=86_400 {
            let gone = second == 5_000;
            series.push(Sample {
                at: f64::from(second),
                seconds: 1.0,
                engine_cpus: (!gone).then_some(if second % 2 == 0 { 1.0 } else { 0.0 }),
                engine_rss_bytes: Some(if second == 40_000 { 9e9 } else { 1e8 }),
                ..Sample::default()
            });
        }
        let points = series.points();
        assert!(points.len() <= POINTS_MAX);
        let whole: f64 = points.iter().map(|point| point.seconds).sum();
        assert_eq!(whole, 86_400.0);
        assert_eq!(points[points.len() - 1].at, 86_400.0);
        let highest = points.iter().filter_map(|point| point.engine_rss_bytes);
        assert_eq!(highest.fold(0.0, f64::max), 9e9);
        let busy = points[10].engine_cpus.unwrap();
        assert!((busy - 0.5).abs() < 0.01, "{busy}");
    }
}
