//! What became of a target, for machines and for people. What was not measured is never met.

use serde::Serialize;

/// How a target was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The measured value is within the bound.
    Met,
    /// It is not.
    Missed,
    /// There is no measured value.
    NotMeasured,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        ["met", "missed", "not measured"][self as usize]
    }
}

/// What became of one target.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Its short name, the same in all versions.
    pub target: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// How it was met.
    pub outcome: Outcome,
    /// The measured value, when there is one.
    pub value: Option<f64>,
    /// The bound that it is compared with.
    pub limit: f64,
    /// Of both.
    pub unit: &'static str,
    /// The measured value for people.
    pub measured: String,
    /// The bound for people.
    pub bound: String,
    /// How it was measured or why not, in a sentence.
    pub sentence: String,
}

impl Verdict {
    pub(crate) fn new(
        target: &'static str,
        title: &'static str,
        unit: &'static str,
        limit: f64,
        bound: String,
    ) -> Self {
        Verdict {
            target,
            title,
            outcome: Outcome::NotMeasured,
            value: None,
            limit,
            unit,
            measured: "—".into(),
            bound,
            sentence: String::new(),
        }
    }

    pub(crate) fn judged(
        mut self,
        is_met: bool,
        value: f64,
        measured: String,
        sentence: String,
    ) -> Self {
        self.outcome = if is_met {
            Outcome::Met
        } else {
            Outcome::Missed
        };
        self.value = Some(value);
        self.measured = measured;
        self.sentence = sentence;
        self
    }

    pub(crate) fn unmeasured(mut self, sentence: impl Into<String>) -> Self {
        self.sentence = sentence.into();
        self
    }
}
