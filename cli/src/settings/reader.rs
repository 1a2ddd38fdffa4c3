//! Takes gathered texts, and hands out one meaning at a time while it notes every problem. It does
//! not know how settings relate.

use std::time::Duration;

use super::problem::Problem;
use super::sources::Raw;
use super::table::Setting;
use super::values;

/// Reads settings, and collects what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub raw: &'a Raw,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(raw: &'a Raw, problems: &'a mut Vec<Problem>) -> Self {
        Self { raw, problems }
    }

    /// The meaning of a setting that was given or has a fixed default; `None` otherwise, or after
    /// noting why the text means nothing.
    pub(super) fn read<T>(
        &mut self,
        setting: &Setting,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.raw.get(setting)?;
        meaning(&given.text)
            .map_err(|reason| {
                self.problems
                    .push(Problem::bad_value(setting, given, reason))
            })
            .ok()
    }

    /// As [`Self::read`], for a time within these bounds.
    pub(super) fn time(
        &mut self,
        setting: &Setting,
        least: Duration,
        most: Duration,
    ) -> Option<Duration> {
        self.read(setting, |text| values::time(text, least..=most))
    }

    /// Notes that values contradict each other.
    pub(super) fn relation(&mut self, text: String) {
        self.problems.push(Problem::Relation(text));
    }

    /// `batch_rows = "5" (SPANMILL_BATCH_ROWS)`
    pub(super) fn named(&self, setting: &Setting) -> String {
        match self.raw.get(setting) {
            Some(given) => format!("{} = {:?} ({})", setting.key, given.text, given.source),
            None => setting.key.to_owned(),
        }
    }
}
