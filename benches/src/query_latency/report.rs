//! What was measured, with a verdict for each target: as a table for people, as JSON for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use spanmill_loadgen::Report as LoadReport;

use crate::data::{Made, Store};
use crate::measure::{Measured, Series};
use crate::options::Options;
use crate::reads::{self, Read};

/// The share of the load that has to come in for figures beside it to count.
const LOAD_SHARE: f64 = 0.95;

/// See the module.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    data: Made,
    /// Spans a second that were acknowledged meanwhile, and how many were asked for.
    beside: f64,
    beside_wanted: f64,
    clients: usize,
    kinds: Vec<KindReport>,
}

#[derive(Debug, Serialize)]
struct KindReport {
    name: &'static str,
    target_ms: f64,
    verdict: Verdict,
    warm: Figures,
    at_once: Figures,
    cold: Figures,
    /// Of the warm run.
    reads: Vec<Read>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Met,
    /// The 95th percentile is above the target, warm or cold.
    Missed,
    /// Some answers were wrong, whatever they took.
    Wrong,
    NotThere,
}

/// Of one series; times in ms.
#[derive(Debug, Serialize)]
struct Figures {
    asked: u64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
    /// Of an answer on average.
    kilobytes: f64,
    wrong: usize,
    example: Option<String>,
}

impl Figures {
    fn of(series: &Series) -> Self {
        let at = |quantile| series.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let asked = series.latencies.len();
        Figures {
            asked,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: series.latencies.max() as f64 / 1e3,
            kilobytes: series.bytes as f64 / asked.max(1) as f64 / 1e3,
            wrong: series.wrong,
            example: series.example.clone(),
        }
    }
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        store: &Store,
        measured: Vec<Measured>,
        load: Option<&LoadReport>,
    ) -> Result<Self> {
        reads::flush(store)?;
        let kinds = measured.into_iter().map(|measured| {
            let target_ms = measured.target.as_secs_f64() * 1e3;
            let [warm, at_once, cold] =
                [&measured.warm, &measured.at_once, &measured.cold].map(Figures::of);
            let is_late = |figures: &Figures| figures.p95 > target_ms;
            let verdict = if !measured.is_there {
                Verdict::NotThere
            } else if warm.wrong + at_once.wrong + cold.wrong > 0 {
                Verdict::Wrong
            } else if is_late(&warm) || is_late(&cold) {
                Verdict::Missed
            } else {
                Verdict::Met
            };
            Ok(KindReport {
                name: measured.name,
                target_ms,
                verdict,
                reads: reads::of(store, &measured.warm)?,
                warm,
                at_once,
                cold,
            })
        });
        Ok(Report {
            data: store.made.clone(),
            beside: load.map_or(0.0, |load| load.acknowledged_per_second),
            beside_wanted: options.beside_rate,
            clients: options.clients,
            kinds: kinds.collect::<Result<_>>()?,
        })
    }

    /// Whether all targets were met while the load came in as wanted.
    pub(crate) fn is_met(&self) -> bool {
        let is_met = |kind: &KindReport| kind.verdict == Verdict::Met;
        self.beside >= LOAD_SHARE * self.beside_wanted && self.kinds.iter().all(is_met)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "\n{} M spans of a day, {:.0} of {:.0} spans a second came in meanwhile; ms, p50 / p95 / p99 / max\n",
            self.data.millions, self.beside, self.beside_wanted
        )?;
        writeln!(
            text,
            "{:32} {:>6}  {:9}  {:29}  {:29}  {:29}",
            "",
            "target",
            "verdict",
            "warm, one at a time",
            format!("warm, {} at once", self.clients),
            "caches dropped"
        )?;
        for kind in &self.kinds {
            let verdict = format!("{:?}", kind.verdict).to_lowercase();
            let [warm, at_once, cold] = [&kind.warm, &kind.at_once, &kind.cold].map(Figures::shown);
            writeln!(
                text,
                "{:32} {:>6.0}  {verdict:9}  {warm:29}  {at_once:29}  {cold:29}",
                kind.name, kind.target_ms
            )?;
        }
        writeln!(
            text,
            "\nread by ClickHouse for a question, warm, one at a time"
        )?;
        writeln!(
            text,
            "{:32} {:22} {:>7} {:>11} {:>9} {:>8} {:>8} {:>7} {:>9}",
            "", "statement", "queries", "rows", "MB", "ms", "CPU ms", "parts", "granules"
        )?;
        for kind in &self.kinds {
            let asked = kind.warm.asked.max(1) as f64;
            for read in &kind.reads {
                writeln!(
                    text,
                    "{:32} {:22} {:>7.1} {:>11.0} {:>9.2} {:>8.1} {:>8.1} {:>7.1} {:>9.1}",
                    kind.name,
                    read.statement,
                    read.queries / asked,
                    read.rows / asked,
                    read.bytes / asked / 1e6,
                    read.ms / asked,
                    read.cpu_ms / asked,
                    read.parts / asked,
                    read.granules / asked
                )?;
            }
        }
        for kind in &self.kinds {
            for figures in [&kind.warm, &kind.at_once, &kind.cold] {
                if let Some(example) = &figures.example {
                    writeln!(
                        text,
                        "{}: {} wrong, such as {example}",
                        kind.name, figures.wrong
                    )?;
                }
            }
        }
        Ok(())
    }
}

impl Figures {
    fn shown(&self) -> String {
        match self.asked {
            0 => "–".into(),
            _ => format!(
                "{:.1} / {:.1} / {:.1} / {:.1}",
                self.p50, self.p95, self.p99, self.max
            ),
        }
    }
}
