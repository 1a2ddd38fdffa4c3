//! Certifies a running installation: options and targets go in; marked spans are sent, the engine and ClickHouse are
//! watched, queries are asked, rows are counted; a verdict for each target and a report come out.
//!
//! ```text
//! options ─▶ facts ─▶ stretches of load ──────────────────▶ counted ─▶ verdicts ─▶ report
//!                     warm-up, target rate, CPU, search     rows,       met,        terminal,
//!                     │ sampler: CPU, memory, parts         bytes       missed,     JSON,
//!                     └ asking: queries beside it                       not         HTML
//!                                                                       measured
//! ```
//!
//! It knows nothing of how the engine works: what it says comes from outside, by OTLP, `/metrics` and SQL.

mod asking;
mod clickhouse;
mod command;
mod curve;
mod drift;
mod engine;
mod error;
mod facts;
mod finish;
mod found;
mod html;
mod judge;
mod local;
mod options;
mod phase;
mod queries;
mod query_server;
mod report;
mod run;
mod sample;
mod sampler;
mod search;
mod sizes;
mod start;
mod targets;
mod verdict;
mod verify;
mod words;

pub use command::main;
pub use error::Error;
pub use options::{Options, Profile, Secret, Targets};
pub use report::{Figure, Report};
pub use run::{Progress, certify};
pub use verdict::{Outcome, Verdict};
pub use verify::{Sent, Stored};

/// The resource attribute by which a run's spans are told from all others.
pub const MARK: &str = "spanmill.certify.run";

/// What ClickHouse, as `options` name it, holds of what was `sent`.
///
/// # Errors
/// When it does not answer.
pub fn verify(options: &Options, sent: &Sent) -> Result<Stored, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let clickhouse = clickhouse::ClickHouse::new(reqwest::Client::new(), options);
    runtime.block_on(verify::stored(&clickhouse, sent))
}
