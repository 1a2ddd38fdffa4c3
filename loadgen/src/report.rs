//! What a run has found: counts, latencies, failures by status and a series by the second. Written as JSON and
//! as HdrHistogram's text of percentiles.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::options::{Compression, Options, Rate};
use crate::tally::{Counts, Failures, Latencies};

/// What a run has found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Spanmill's version.
    pub version: &'static str,
    /// How it was run, the seed among it.
    pub options: Options,
    /// `open loop`, or `closed loop`: then latencies do not count waiting.
    pub mode: &'static str,
    /// `new for each send`, or `repeated` where requests are compressed before the start.
    pub ids_and_times: &'static str,
    /// When the first request was due, in nanoseconds since 1970.
    pub started_unix_nanos: u64,
    /// How long requests were sent.
    pub sending_seconds: f64,
    /// Until the last answer came.
    pub answered_seconds: f64,
    /// Acknowledged items a second, over the longer of these two.
    pub acknowledged_per_second: f64,
    /// Of all signals.
    pub total: Counts,
    /// Of each signal that was sent.
    pub signals: BTreeMap<&'static str, Counts>,
    /// Bytes of a request on average, without HTTP's own.
    pub bytes_per_request: f64,
    /// By status.
    pub failures: BTreeMap<String, Failures>,
    /// How well the schedule was kept.
    pub schedule: Kept,
    /// From when a request was due until it was acknowledged, in ms.
    pub latency_ms: Quantiles,
    /// CPU time of the sending threads, in seconds.
    pub cpu_seconds: f64,
    /// The same for a million acknowledged items.
    pub cpu_seconds_per_million: f64,
    /// What came in each second.
    pub series: Vec<Second>,
    /// All latencies in µs, for merging and plotting.
    #[serde(skip)]
    pub histogram: Latencies,
}

/// How well the schedule was kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// True when requests waited for room among those in flight: the receiver did not keep up.
    pub behind: bool,
    /// How many did.
    pub requests_held_up: u64,
    /// Most that may be in flight.
    pub in_flight_max: usize,
    /// From when a request was due until it was handed to its connection, in ms: this generator's own lag and
    /// the waiting for room.
    pub lag_ms: Quantiles,
}

/// Of latencies, in ms.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What came within about a second.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Second {
    /// When it ended, in seconds after the start.
    pub at: f64,
    /// How long it was.
    pub seconds: f64,
    /// Items that the schedule has in it; in a closed loop, items that were sent.
    pub due: u64,
    /// Items that were sent.
    pub sent: u64,
    /// Items that were acknowledged.
    pub acknowledged: u64,
    /// Tries that failed, partial successes among them.
    pub failed_tries: u64,
    /// Latencies of what was acknowledged, in ms.
    pub latency_ms: Quantiles,
}

impl From<&Latencies> for Quantiles {
    fn from(micros: &Latencies) -> Self {
        if micros.is_empty() {
            return Quantiles::default();
        }
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Quantiles {
            count: micros.len(),
            mean: micros.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1000.0,
        }
    }
}

impl Quantiles {
    /// What stands for both where their histograms are gone: the worse of each percentile.
    #[must_use]
    pub fn worse(&self, other: &Quantiles) -> Quantiles {
        let count = self.count + other.count;
        let sum = self.mean * self.count as f64 + other.mean * other.count as f64;
        Quantiles {
            count,
            mean: if count > 0 { sum / count as f64 } else { 0.0 },
            p50: self.p50.max(other.p50),
            p90: self.p90.max(other.p90),
            p99: self.p99.max(other.p99),
            p999: self.p999.max(other.p999),
            max: self.max.max(other.max),
        }
    }
}

impl Report {
    /// Whether something was acknowledged and nothing was lost, left out or left unsent.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let Counts {
            acknowledged,
            rejected,
            failed,
            unknown,
            not_sent,
            ..
        } = self.total;
        acknowledged > 0 && rejected + failed + unknown + not_sent == 0
    }

    /// Writes `report.json` and `latency.hgrm` into `folder`, which is made if missing.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let wrong = |source| Error::Out {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        std::fs::write(folder.join("report.json"), json + "\n").map_err(wrong)?;
        std::fs::write(folder.join("latency.hgrm"), percentiles(&self.histogram)).map_err(wrong)
    }

    /// For a person, at the end of a run.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let Counts {
            due,
            sent,
            acknowledged,
            rejected,
            failed,
            unknown,
            not_sent,
            ..
        } = self.total;
        let rate = match self.options.rate {
            Rate::Items(rate) => format!("{rate} items/s were asked for"),
            Rate::Max => "as fast as answers came".into(),
        };
        let latency = self.latency_ms;
        let lag = self.schedule.lag_ms;
        let mut line = |line: String| {
            text += &line;
            text.push('\n');
        };
        line(format!(
            "{acknowledged} items acknowledged in {:.1} s: {:.0} a second ({rate}, {})",
            self.answered_seconds.max(self.sending_seconds),
            self.acknowledged_per_second,
            self.mode
        ));
        line(format!(
            "  due {due}, sent {sent}, rejected {rejected}, failed {failed}, unknown {unknown}, not sent {not_sent}"
        ));
        line(format!(
            "  latency ms   p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
            latency.p50, latency.p90, latency.p99, latency.p999, latency.max
        ));
        line(format!(
            "  sending lag  p50 {:.2}  p99 {:.2}  max {:.2}",
            lag.p50, lag.p99, lag.max
        ));
        line(format!(
            "  own CPU      {:.2} s, {:.3} s for a million items; ids and times {}",
            self.cpu_seconds, self.cpu_seconds_per_million, self.ids_and_times
        ));
        if self.schedule.behind {
            line(format!(
                "  BEHIND SCHEDULE: {} requests found {} in flight and waited; their latencies count that",
                self.schedule.requests_held_up, self.schedule.in_flight_max
            ));
        }
        for (status, failures) in &self.failures {
            line(format!(
                "  {status}: {} tries, {} requests with {} items lost; {}",
                failures.tries, failures.requests, failures.items, failures.example
            ));
        }
        text
    }
}

/// What ids and times a compression allows.
pub(crate) fn ids_and_times(compression: Compression) -> &'static str {
    match compression {
        Compression::Identity => "new for each send",
        Compression::Gzip | Compression::Zstd => "repeated",
    }
}

/// The text that HdrHistogram's plotters read; values in ms.
fn percentiles(micros: &Latencies) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    for step in micros.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / 1000.0;
        let rest = 1.0 - quantile;
        // Writing to a string does not fail.
        let _ = if rest > 0.0 {
            writeln!(
                text,
                "{value:12.3} {quantile:2.12} {total:10} {:14.2}",
                1.0 / rest
            )
        } else {
            writeln!(
                text,
                "{value:12.3} {quantile:2.12} {total:10}            inf"
            )
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n#[Buckets = {:12}, SubBuckets     = {:12}]",
        micros.mean() / 1000.0,
        micros.stdev() / 1000.0,
        micros.max() as f64 / 1000.0,
        micros.len(),
        micros.buckets(),
        2048
    );
    text
}
