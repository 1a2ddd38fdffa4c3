//! One stretch of load and what it did: the generator's report, counters before and after, and the samples between
//! go in; figures and a judgement come out. Plain arithmetic: it runs nothing.

use serde::Serialize;
use spanmill_loadgen::{Counts, Failures, Quantiles, Rate, Report};

use crate::sample::Sample;
use crate::sampler::{Look, restarted};

/// Seconds of the rate that a backlog may grow by within a stretch: batches come and go once a second.
const GROWTH_SECONDS: (f64, f64) = (1.25, 3.0);
/// The same as a part of the time between its first and its last third.
const GROWTH_PART: f64 = 0.05;
/// Parts may grow by half and so many, as merges come and go.
const PARTS_SLACK: (f64, f64) = (1.5, 150.0);

/// What a stretch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Caches fill, tables and connections are made.
    WarmUp,
    /// The target rate.
    Hold,
    /// The rate at which CPU is judged.
    Cpu,
    /// As fast as answers come.
    Probe,
    /// A step of the search.
    Step,
}

impl Kind {
    /// Whether it says something about the rate: not while caches fill, nor where answers set the pace.
    pub(crate) fn is_judged(self) -> bool {
        !matches!(self, Kind::WarmUp | Kind::Probe)
    }
}

/// One stretch of load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    pub(crate) kind: Kind,
    /// In a sentence or a table.
    pub(crate) name: String,
    /// What is in each resource of its spans.
    pub(crate) mark: String,
    /// Spans a second; none for the probe.
    pub(crate) asked_rate: Option<f64>,
    /// Seconds after the start of the run.
    pub(crate) began: f64,
    pub(crate) began_unix_nanos: u64,
    pub(crate) sending_seconds: f64,
    /// Until ClickHouse had caught up.
    pub(crate) caught_up_seconds: Option<f64>,
    pub(crate) acknowledged_per_second: f64,
    pub(crate) total: Counts,
    pub(crate) failures: std::collections::BTreeMap<String, Failures>,
    pub(crate) ack_ms: Quantiles,
    pub(crate) lag_ms: Quantiles,
    pub(crate) behind_schedule: bool,
    pub(crate) bytes_per_request: f64,
    /// CPU time from the start until ClickHouse had caught up.
    pub(crate) engine_cpu_seconds: Option<f64>,
    pub(crate) clickhouse_cpu_seconds: Option<f64>,
    pub(crate) loadgen_cpu_seconds: f64,
    /// The engine's CPU time for each second of load, as percent of the CPUs it may use.
    pub(crate) engine_cpu_percent: Option<f64>,
    /// Inserted rows a second, in the second half.
    pub(crate) inserted_per_second: Option<f64>,
    /// Why the rate was not sustained; empty when it was.
    pub(crate) not_sustained: Vec<String>,
}

/// What a stretch is made of.
pub(crate) struct Made<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) mark: String,
    pub(crate) began: f64,
    pub(crate) report: &'a Report,
    pub(crate) before: &'a Look,
    pub(crate) after: &'a Look,
    pub(crate) samples: &'a [Sample],
    pub(crate) caught_up_seconds: Option<f64>,
    pub(crate) ack_p99_max_ms: f64,
}

impl Made<'_> {
    pub(crate) fn phase(self) -> Phase {
        let Made {
            report,
            before,
            after,
            ..
        } = self;
        let same_engine = !restarted(before, after);
        let engine_cpu = match (&before.engine, &after.engine) {
            (Some(before), Some(after)) if same_engine => after.cpu_seconds.zip(before.cpu_seconds),
            _ => None,
        };
        let engine_cpu_seconds = engine_cpu.map(|(after, before)| after - before);
        let usable = after
            .engine
            .as_ref()
            .and_then(|engine| engine.usable_cpus());
        let clickhouse = after.clickhouse.as_ref().zip(before.clickhouse.as_ref());
        let clickhouse = clickhouse.map(|(after, before)| after.cpu_seconds - before.cpu_seconds);
        let sending = report.sending_seconds.max(f64::MIN_POSITIVE);
        let while_sending: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| {
                let into = sample.at - self.began;
                into > sample.seconds / 2.0 && into <= sending + sample.seconds / 2.0
            })
            .collect();
        let second_half = &while_sending[while_sending.len() / 2..];
        Phase {
            asked_rate: match report.options.rate {
                Rate::Items(rate) => Some(rate),
                Rate::Max => None,
            },
            began_unix_nanos: report.started_unix_nanos,
            sending_seconds: report.sending_seconds,
            caught_up_seconds: self.caught_up_seconds,
            acknowledged_per_second: report.total.acknowledged as f64 / sending,
            total: report.total,
            failures: report.failures.clone(),
            ack_ms: report.latency_ms,
            lag_ms: report.schedule.lag_ms,
            behind_schedule: report.schedule.behind,
            bytes_per_request: report.bytes_per_request,
            engine_cpu_seconds,
            clickhouse_cpu_seconds: clickhouse.filter(|seconds| *seconds >= 0.0),
            loadgen_cpu_seconds: report.cpu_seconds,
            engine_cpu_percent: engine_cpu_seconds
                .zip(usable)
                .map(|(cpu, usable)| cpu / sending / usable * 100.0),
            inserted_per_second: mean(second_half.iter().filter_map(|s| s.inserted_per_second)),
            not_sustained: reasons(report, &while_sending, self.ack_p99_max_ms),
            kind: self.kind,
            name: self.name,
            mark: self.mark,
            began: self.began,
        }
    }
}

impl Phase {
    pub(crate) fn is_sustained(&self) -> bool {
        self.not_sustained.is_empty()
    }

    /// CPU seconds for a million acknowledged spans.
    pub(crate) fn per_million(&self, seconds: Option<f64>) -> Option<f64> {
        let acknowledged = self.total.acknowledged as f64;
        seconds
            .filter(|_| acknowledged > 0.0)
            .map(|seconds| seconds / acknowledged * 1e6)
    }
}

/// Why the load was not sustained, in words.
fn reasons(report: &Report, samples: &[&Sample], ack_p99_max_ms: f64) -> Vec<String> {
    let Counts {
        acknowledged,
        rejected,
        failed,
        unknown,
        not_sent,
        ..
    } = report.total;
    let mut reasons = Vec::new();
    let lost = [
        ("rejected", rejected),
        ("refused", failed),
        ("not answered", unknown),
        ("not sent", not_sent),
    ];
    reasons.extend(
        lost.iter()
            .filter(|(_, spans)| *spans > 0)
            .map(|(what, spans)| format!("{spans} spans {what}")),
    );
    if acknowledged == 0 {
        reasons.push("nothing was acknowledged".into());
    }
    if matches!(report.options.rate, Rate::Max) {
        return reasons;
    }
    let p99 = report.latency_ms.p99;
    if p99 > ack_p99_max_ms {
        reasons.push(format!(
            "1 % of acknowledgements took longer than {p99:.0} ms"
        ));
    }
    if report.schedule.behind {
        let held_up = report.schedule.requests_held_up;
        reasons.push(format!(
            "{held_up} requests waited until others were answered"
        ));
    }
    let backlog: Vec<_> = samples
        .iter()
        .filter_map(|s| Some((s.at, s.backlog_rows?)))
        .collect();
    let rate = acknowledged as f64 / report.sending_seconds.max(f64::MIN_POSITIVE);
    if let Some((seconds, grown)) = growth(&backlog) {
        let allowed = rate * (GROWTH_PART * seconds).clamp(GROWTH_SECONDS.0, GROWTH_SECONDS.1);
        if grown > allowed {
            reasons.push(format!(
                "what waits for ClickHouse grew by {grown:.0} rows in {seconds:.0} s"
            ));
        }
    }
    let parts: Vec<_> = samples
        .iter()
        .filter_map(|s| Some((s.at, s.parts_of_partition?)))
        .collect();
    if let (Some((first, _)), Some((_, grown))) = (thirds(&parts), growth(&parts))
        && grown > first.1 * (PARTS_SLACK.0 - 1.0) + PARTS_SLACK.1
    {
        reasons.push(format!(
            "ClickHouse's parts grew by {grown:.0} in one partition"
        ));
    }
    reasons
}

/// Seconds between the middles of the first and the last third, and by how much the level grew.
fn growth(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (first, last) = thirds(points)?;
    Some((last.0 - first.0, last.1 - first.1))
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

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
