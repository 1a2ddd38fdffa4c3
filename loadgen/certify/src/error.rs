//! Why an installation could not be certified. What it does badly is no error: that is a verdict.

use std::io;
use std::path::PathBuf;

/// What happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("--{name} {figure} is not above 0; give a number that is")]
    Figure { name: &'static str, figure: f64 },
    #[error("--{name} {url:?} is no address; give http://HOST:PORT")]
    Url { name: &'static str, url: String },
    #[error(
        "no engine answers at {url}: {reason}; start one with `spanmill up`, name its admin port with --admin, or let this command run one with --start"
    )]
    NoEngine { url: String, reason: String },
    #[error("what answers at {url} is no engine's admin port; check --admin")]
    NotAnEngine { url: String },
    #[error("the engine at {url} takes no requests: {words}")]
    NotReady { url: String, words: String },
    #[error("{0}")]
    Load(spanmill_loadgen::Error),
    #[error(
        "no load can be put on the engine: {0} (--endpoint and --protocol are here --otlp-grpc or --otlp-http)"
    )]
    NoLoad(spanmill_loadgen::Error),
    #[error(
        "no ClickHouse answers at {url}: {reason}; name its HTTP interface with --clickhouse, which `spanmill up` prints when it starts"
    )]
    NoClickHouse { url: String, reason: String },
    #[error("ClickHouse at {url} refused a question: {words}; {hint}")]
    Refused {
        url: String,
        words: String,
        hint: &'static str,
    },
    #[error("ClickHouse at {url} answered what is not understood: {reason}; this is a bug")]
    Answer { url: String, reason: String },
    #[error("`{program} up` did not start: {reason}; its log: {log}")]
    Start {
        program: PathBuf,
        reason: String,
        log: String,
    },
    #[error("no thread, timer or signal: {0}; check the limits of this user")]
    Thread(io::Error),
    #[error("cannot write {path}: {source}; give --out a folder that can be written")]
    Out { path: PathBuf, source: io::Error },
}

impl Error {
    /// True for what was mistyped.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::Figure { .. } | Error::Url { .. } | Error::Load(_)
        )
    }
}

/// The cause at the bottom, which says what happened.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
