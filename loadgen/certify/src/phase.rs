//! One stretch of load and what it did: the generator's report, counters before and after, and the samples between
//! go in; figures and a judgement come out. Plain arithmetic: it runs nothing.

use serde::Serialize;
use spanmill_loadgen::{Counts, Failures, Quantiles, Rate, Report};

use crate::judge::{Load, mean, reasons};
use crate::sample::Sample;
use crate::sampler::{Look, restarted};

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
            not_sustained: reasons(
                &Load {
                    total: report.total,
                    is_open: matches!(report.options.rate, Rate::Items(_)),
                    seconds: sending,
                    ack_p99_ms: report.latency_ms.p99,
                    ack_p99_max_ms: self.ack_p99_max_ms,
                    held_up: report.schedule.requests_held_up,
                },
                &while_sending,
            ),
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
