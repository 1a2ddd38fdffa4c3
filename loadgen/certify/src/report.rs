//! What a certification has found: one value for machines, people and the exit code. It judges nothing itself.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::asking::QueryReport;
use crate::drift::Drift;
use crate::error::Error;
use crate::facts::Facts;
use crate::options::{Options, Targets};
use crate::phase::Phase;
use crate::sample::{LoadPoint, Sample};
use crate::sizes::Sizes;
use crate::verdict::{Outcome, Verdict};
use crate::verify::Stored;

/// What a certification has found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Spanmill's version that measured.
    pub version: &'static str,
    /// Marks this run's spans: the attribute [`crate::MARK`] of their resources begins with it.
    pub run: String,
    /// When it began, in seconds since 1970.
    pub started_unix_seconds: f64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// One for each target.
    pub verdicts: Vec<Verdict>,
    /// What was found beside the targets.
    pub figures: Vec<Figure>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How it was run.
    pub options: Options,
    pub(crate) facts: Facts,
    pub(crate) phases: Vec<Phase>,
    pub(crate) queries: Vec<QueryReport>,
    /// What is stored of each stretch.
    pub stored: Vec<Stored>,
    pub(crate) sizes: Option<Sizes>,
    pub(crate) drift: Vec<Drift>,
    /// At the target rate: the share of acknowledgements that took at most so many ms.
    pub(crate) ack_curve: Vec<CurvePoint>,
    pub(crate) load: Vec<LoadPoint>,
    pub(crate) samples: Vec<Sample>,
}

/// A figure that is no target.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// For machines, in the unit that `words` names.
    pub value: f64,
    /// For people.
    pub words: String,
    /// How it came about.
    pub note: String,
}

/// A point of the curve of percentiles.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct CurvePoint {
    /// From 0 to below 100.
    pub(crate) percentile: f64,
    pub(crate) ms: f64,
}

/// What verdicts are made of.
pub(crate) struct Measured<'a> {
    pub(crate) targets: &'a Targets,
    pub(crate) must_not_drift: bool,
    /// Or why it could not be counted.
    pub(crate) stored: Result<&'a [Stored], &'a str>,
    pub(crate) hold: Option<&'a Phase>,
    pub(crate) cpu: Option<&'a Phase>,
    pub(crate) engine_cpus: Option<f64>,
    pub(crate) rss_max: Option<f64>,
    /// All of them together.
    pub(crate) queries: Option<&'a QueryReport>,
    /// Or why it could not be asked.
    pub(crate) sizes: Result<&'a Sizes, &'a str>,
    pub(crate) drift: &'a [Drift],
}

impl Report {
    /// Missed when one target was; else not measured when one was not, or it was ended early.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let is = |outcome| {
            self.verdicts
                .iter()
                .any(|verdict| verdict.outcome == outcome)
        };
        if is(Outcome::Missed) {
            Outcome::Missed
        } else if is(Outcome::NotMeasured) || self.interrupted || self.verdicts.is_empty() {
            Outcome::NotMeasured
        } else {
            Outcome::Met
        }
    }

    /// 0 when all targets were met, 1 when one was missed, 2 when one could not be measured.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.outcome() {
            Outcome::Met => 0,
            Outcome::Missed => 1,
            Outcome::NotMeasured => 2,
        }
    }

    /// Writes `report.json` and `report.html` into `folder`, which is made if missing.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let wrong = |source| Error::Out {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        std::fs::write(folder.join("report.json"), json).map_err(wrong)?;
        std::fs::write(folder.join("report.html"), crate::html::page(self)).map_err(wrong)
    }

    /// For a person, at the end of a run.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let widest = |of: fn(&Verdict) -> &str| {
            let widths = self
                .verdicts
                .iter()
                .map(|verdict| of(verdict).chars().count());
            widths.max().unwrap_or(0)
        };
        let (title, measured) = (widest(|v| v.title), widest(|v| &v.measured));
        // Writing to a string does not fail.
        for verdict in &self.verdicts {
            let sign = ["✓", "✗", "?"][verdict.outcome as usize];
            let _ = writeln!(
                text,
                "{sign} {:12}  {:title$}  {:measured$}  ({})",
                verdict.outcome.words(),
                verdict.title,
                verdict.measured,
                verdict.bound
            );
            if verdict.outcome != Outcome::Met {
                let _ = writeln!(text, "                {}", verdict.sentence);
            }
        }
        text.push('\n');
        for Figure {
            name, words, note, ..
        } in &self.figures
        {
            let _ = writeln!(text, "  {name}: {words} ({note})");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  Note: {note}");
        }
        let words = match self.outcome() {
            Outcome::Met => "CERTIFIED: all targets were met",
            Outcome::Missed => "NOT CERTIFIED: a target was missed",
            Outcome::NotMeasured => "NOT CERTIFIED: not everything could be measured",
        };
        let early = if self.interrupted {
            ", ended early"
        } else {
            ""
        };
        let _ = writeln!(text, "\n{words}{early}");
        text
    }
}
