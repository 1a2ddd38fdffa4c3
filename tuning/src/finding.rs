//! What a check found, in the form that is printed and that machines read. It decides nothing.

use serde::Serialize;

/// How a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing to change.
    Ok,
    /// It costs speed, or promises less than it could.
    Advice,
    /// The engine does not start, or what it acknowledged is not safe.
    Problem,
    /// The host does not say.
    Unknown,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Advice => "advice",
            Verdict::Problem => "problem",
            Verdict::Unknown => "unknown",
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// What to change.
    pub(crate) what: String,
    /// The command that does it, to be given to a root shell.
    pub(crate) command: String,
    /// Why.
    pub(crate) why: String,
}

impl Change {
    pub(crate) fn new(
        what: impl Into<String>,
        command: impl Into<String>,
        why: impl Into<String>,
    ) -> Change {
        Change {
            what: what.into(),
            command: command.into(),
            why: why.into(),
        }
    }
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// What was seen, or why nothing was.
    pub(crate) seen: String,
    /// There for advice and problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<Change>,
}

impl Judgement {
    pub(crate) fn ok(seen: impl Into<String>) -> Judgement {
        Judgement::of(Verdict::Ok, seen, None)
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Judgement {
        Judgement::of(Verdict::Unknown, reason, None)
    }

    pub(crate) fn advice(seen: impl Into<String>, change: Change) -> Judgement {
        Judgement::of(Verdict::Advice, seen, Some(change))
    }

    pub(crate) fn problem(seen: impl Into<String>, change: Change) -> Judgement {
        Judgement::of(Verdict::Problem, seen, Some(change))
    }

    fn of(verdict: Verdict, seen: impl Into<String>, change: Option<Change>) -> Judgement {
        Judgement {
            verdict,
            seen: seen.into(),
            change,
        }
    }
}

/// A check and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    #[serde(flatten)]
    pub(crate) judgement: Judgement,
}

/// All checks of a host.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Shards that were assumed.
    pub(crate) shards: usize,
    /// The log's folder that was looked at.
    pub(crate) wal_dir: String,
    pub(crate) problems: usize,
    pub(crate) advice: usize,
    pub(crate) unknown: usize,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(shards: usize, wal_dir: String, findings: Vec<Finding>) -> Report {
        let count = |verdict| {
            let same = findings.iter().filter(|f| f.judgement.verdict == verdict);
            same.count()
        };
        Report {
            shards,
            wal_dir,
            problems: count(Verdict::Problem),
            advice: count(Verdict::Advice),
            unknown: count(Verdict::Unknown),
            findings,
        }
    }

    /// One line for each check, and below those that are not ok what to do.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Finding { check, judgement } in &self.findings {
            let verdict = judgement.verdict.word();
            text += &format!("{verdict:<8} {check:<15} {}\n", judgement.seen);
            if let Some(Change { what, command, why }) = &judgement.change {
                text += &format!("           change   {what}\n");
                text += &format!("           command  {command}\n");
                text += &format!("           why      {why}\n");
            }
        }
        let ok = self.findings.len() - self.problems - self.advice - self.unknown;
        text += &format!(
            "\n{ok} ok, {} advice, {} problems, {} unknown; shards {}, log in {}\n",
            self.advice, self.problems, self.unknown, self.shards, self.wal_dir
        );
        text
    }
}
