//! What the runs of both sides come to: the least, the middle and the most of each figure, and how theirs
//! stands to ours, by rounds. As text for people or as JSON.

use serde::Serialize;
use spanmill_loadgen::Options as Load;

use crate::Cpus;
use crate::measure::Run;
use crate::options::Options;
use crate::receiver::Side;

/// See the module.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    load: Load,
    /// What the other was started as; empty when it ran already.
    other: Vec<String>,
    sink: &'static str,
    /// The CPUs of the receivers and those of all else, when they were kept apart.
    receiver_cpus: Option<Vec<usize>>,
    load_cpus: Option<Vec<usize>>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) ours: Vec<Run>,
    pub(crate) theirs: Vec<Run>,
}

/// One figure of all runs.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    #[serde(skip)]
    digits: usize,
    ours: Spread,
    theirs: Spread,
    /// Theirs by ours, round by round; none where ours has a zero.
    pub(crate) ratio: Option<Spread>,
}

/// Of several values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let Some((min, max)) = values.first().zip(values.last()) else {
            return Spread {
                min: f64::NAN,
                median: f64::NAN,
                max: f64::NAN,
            };
        };
        let middle = values.len() / 2;
        Spread {
            min: *min,
            median: match values.len() % 2 {
                0 => f64::midpoint(values[middle - 1], values[middle]),
                _ => values[middle],
            },
            max: *max,
        }
    }

    fn printed(self, digits: usize) -> String {
        let Spread { min, median, max } = self;
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    }
}

/// Name, digits behind the point, and where it is in a run.
type Shown = (&'static str, usize, fn(&Run) -> Option<f64>);

const FIGURES: [Shown; 9] = [
    ("CPU s per million", 3, |run| {
        Some(run.cpu_seconds_per_million)
    }),
    ("of that in the kernel", 3, |run| {
        Some(run.system_seconds_per_million)
    }),
    ("acknowledged a second", 0, |run| {
        Some(run.acknowledged_per_second)
    }),
    ("CPUs busy under load", 2, |run| Some(run.busy)),
    ("peak memory, MiB", 0, |run| Some(run.peak_mib as f64)),
    ("ack p50, ms", 2, |run| Some(run.ack_p50_ms)),
    ("ack p99, ms", 2, |run| Some(run.ack_p99_ms)),
    ("items that failed", 0, |run| Some(run.failed as f64)),
    ("bytes inserted an item", 1, |run| {
        run.inserted_bytes_per_item
    }),
];

impl Comparison {
    /// Of `[ours, theirs]`, which have as many runs.
    pub(crate) fn new(options: &Options, cpus: Option<&Cpus>, runs: [Vec<Run>; 2]) -> Self {
        let [ours, theirs] = runs;
        let figure = |(name, digits, of): Shown| {
            let values = |runs: &[Run]| runs.iter().map(of).collect::<Option<Vec<_>>>();
            let (ours, theirs) = values(&ours).zip(values(&theirs))?;
            let pairs = || ours.iter().zip(&theirs);
            let is_ratio = pairs().all(|(ours, _)| *ours > 0.0);
            let ratio = is_ratio.then(|| Spread::of(pairs().map(|(ours, theirs)| theirs / ours)));
            Some(Figure {
                name,
                digits,
                ours: Spread::of(ours.iter().copied()),
                theirs: Spread::of(theirs.iter().copied()),
                ratio,
            })
        };
        Comparison {
            load: options.load.clone(),
            other: options.other.clone(),
            sink: match options.clickhouse {
                true => "an embedded ClickHouse",
                false => "a sink that keeps nothing",
            },
            receiver_cpus: cpus.map(|cpus| cpus.receiver.clone()),
            load_cpus: cpus.map(|cpus| cpus.load.clone()),
            figures: FIGURES.into_iter().filter_map(figure).collect(),
            ours,
            theirs,
        }
    }

    pub(crate) fn printed(&self, json: bool) -> String {
        if json {
            // Numbers, words and lists always are JSON.
            return serde_json::to_string_pretty(self).unwrap_or_default();
        }
        let mut lines = vec![
            format!(
                "{} runs of each in turn, into {}; min / median / max",
                self.ours.len(),
                self.sink
            ),
            row("", "ours", "theirs", "theirs / ours"),
        ];
        lines.extend(self.figures.iter().map(|figure| {
            let ratio = figure.ratio.map(|ratio| ratio.printed(2));
            row(
                figure.name,
                &figure.ours.printed(figure.digits),
                &figure.theirs.printed(figure.digits),
                &ratio.unwrap_or_default(),
            )
        }));
        lines.extend(self.warnings());
        lines.join("\n")
    }

    /// What must be known before the figures are believed.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (side, runs) in [(Side::Ours, &self.ours), (Side::Theirs, &self.theirs)] {
            let name = side.name();
            let mut warn = |is: fn(&Run) -> bool, words: &str| {
                let count = runs.iter().filter(|run| is(run)).count();
                if count > 0 {
                    warnings.push(format!(
                        "! {name}: in {count} of {} runs {words}",
                        runs.len()
                    ));
                }
            };
            warn(
                |run| run.inserts == Some(0),
                "nothing came to the sink: it took the load and did not do the work",
            );
            warn(
                |run| !run.came_to_rest,
                "it never came to rest: what it used later is missing",
            );
            warn(
                |run| !run.peak_is_of_the_run,
                "the peak of memory is that of its whole life",
            );
            for run in runs {
                for (status, tries) in &run.failures {
                    warnings.push(format!("! {name}: {tries} tries failed: {status}"));
                }
            }
        }
        warnings
    }
}

fn row(name: &str, ours: &str, theirs: &str, ratio: &str) -> String {
    let line = format!("{name:<24}{ours:<30}{theirs:<30}{ratio}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: an odd and an even number of values, out of order. Guarantee: the median is the middle one, or
    /// between the two in the middle.
    #[test]
    fn spreads_have_their_median() {
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        let spread = |min, median, max| Spread { min, median, max };
        assert_eq!(of(&[3.0, 1.0, 2.0]), spread(1.0, 2.0, 3.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), spread(1.0, 2.5, 4.0));
    }
}
