//! The baseline: a file of lines `INSTRUCTIONS  STAGE` in the order of the stages, and how it differs from what
//! was counted.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use spanmill_stages::STAGES;

/// How much more than in the baseline fails, in percent.
const MORE_MAX: f64 = 5.0;

/// Instructions of stages, each for one of its units.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    stages: BTreeMap<String, f64>,
}

/// A stage that does not take what the baseline says.
#[derive(Debug, PartialEq)]
pub(crate) enum Difference {
    /// Percent of the baseline on top of it, or below it.
    Percent {
        stage: String,
        more: f64,
    },
    Unknown {
        stage: String,
    },
}

impl Baseline {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut stages = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let parts = line.trim().split_once("  ");
            let (instructions, stage) = parts.with_context(|| format!("no baseline: {line}"))?;
            stages.insert(stage.trim().to_owned(), instructions.parse()?);
        }
        Ok(Baseline { stages })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from(
            "# Instructions for each row (or byte, or insert, where the name says so), counted with valgrind\n\
             # in the release profile. After a change that is worth it: benches/stages/bless\n",
        );
        for (name, _) in STAGES {
            if let Some(instructions) = self.stages.get(name) {
                text.push_str(&format!("{instructions:>12.2}  {name}\n"));
            }
        }
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    pub(crate) fn set(&mut self, stage: &str, instructions: f64) {
        self.stages.insert(stage.to_owned(), instructions);
    }

    /// Takes over what was counted, and keeps the rest.
    pub(crate) fn take(&mut self, counted: Baseline) {
        self.stages.extend(counted.stages);
    }

    /// Stages that take more than they may, or so much less that the baseline should follow.
    pub(crate) fn differences(&self, counted: &Baseline) -> Vec<Difference> {
        let difference = |(stage, instructions): (&String, &f64)| {
            let stage = stage.clone();
            let Some(before) = self.stages.get(&stage) else {
                return Some(Difference::Unknown { stage });
            };
            let more = (instructions / before - 1.0) * 100.0;
            (more.abs() > MORE_MAX).then_some(Difference::Percent { stage, more })
        };
        counted.stages.iter().filter_map(difference).collect()
    }
}

impl Difference {
    /// Whether the gate fails for it.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Difference::Percent { more, .. } if *more < 0.0)
    }
}

impl Display for Difference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Percent { stage, more } if *more < 0.0 => write!(
                out,
                "better: {stage} takes {:.1} % fewer instructions than its baseline; bless it",
                -more
            ),
            Difference::Percent { stage, more } => write!(
                out,
                "FAILED: {stage} takes {more:.1} % more instructions than its baseline, where {MORE_MAX} % are let \
                 pass"
            ),
            Difference::Unknown { stage } => {
                write!(out, "FAILED: {stage} has no baseline; bless it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stages: &[(&str, f64)]) -> Baseline {
        let mut baseline = Baseline::default();
        for (stage, instructions) in stages {
            baseline.set(stage, *instructions);
        }
        baseline
    }

    /// Scenario: stages that take a little more, much more and much less than before, and one that is new.
    /// Guarantee: more than 5 % and what is new fail by name; less does not fail, and is told.
    #[test]
    fn what_takes_more_fails() {
        let baseline = of(&[("a", 100.0), ("b", 100.0), ("c", 100.0)]);
        let counted = of(&[("a", 104.9), ("b", 105.2), ("c", 90.0), ("d", 1.0)]);
        let differences = baseline.differences(&counted);
        let told: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].starts_with("FAILED: b takes 5.2 % more"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("better: c takes 10.0 % fewer"),
            "{told:?}"
        );
        assert!(told[2].starts_with("FAILED: d has no baseline"), "{told:?}");
        let fails: Vec<_> = differences.iter().map(Difference::fails).collect();
        assert_eq!(fails, [true, false, true]);
    }

    /// Scenario: a baseline is written, read and written again with one stage counted anew.
    /// Guarantee: that stage changes, and the others stay.
    #[test]
    fn a_baseline_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        of(&[("walk/traces", 2345.678), ("record", 10.0)])
            .write(file.path())
            .unwrap();
        let mut read = Baseline::read(file.path()).unwrap();
        read.take(of(&[("record", 11.0)]));
        read.write(file.path()).unwrap();
        let read = Baseline::read(file.path()).unwrap();
        let stages: Vec<_> = read.stages.into_iter().collect();
        assert_eq!(
            stages,
            [
                ("record".to_owned(), 11.0),
                ("walk/traces".to_owned(), 2345.68)
            ]
        );
    }
}
