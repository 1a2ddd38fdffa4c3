//! What is wrong with the settings, all of it at once, in words that say where to mend it.
//! No secret ever gets into a message.

use std::fmt;
use std::path::PathBuf;

use super::table::Setting;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(String),
    Variable(String),
    File { path: PathBuf, line: u64 },
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as given, not yet understood.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub text: String,
    pub source: Source,
}

/// One thing to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{source_name}: no such setting{}; `spanmill settings` lists all", hint(.nearest.as_ref()))]
    Unknown {
        source_name: String,
        nearest: Option<String>,
    },
    #[error("{key} = {shown} ({source_name}): {reason}. Accepted: {accepts}")]
    BadValue {
        key: &'static str,
        shown: String,
        source_name: String,
        reason: String,
        accepts: &'static str,
    },
    #[error("{0}")]
    Relation(String),
    #[error("{place}: {reason}")]
    File { place: String, reason: String },
}

fn hint(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

impl Problem {
    /// A value that cannot be used. Shows it only if it cannot hold a secret: a URL with `@`
    /// may carry a password.
    pub(crate) fn bad_value(setting: &Setting, given: &Given, reason: impl Into<String>) -> Self {
        let hidden = setting.secret || given.text.contains('@');
        Self::BadValue {
            key: setting.key,
            shown: if hidden {
                "***".to_owned()
            } else {
                format!("{:?}", given.text)
            },
            source_name: given.source.to_string(),
            reason: reason.into(),
            accepts: setting.accepts,
        }
    }
}

/// Every problem found, at least one.
#[derive(Debug, thiserror::Error)]
pub(crate) struct SettingsError(pub Vec<Problem>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings cannot be used:")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
