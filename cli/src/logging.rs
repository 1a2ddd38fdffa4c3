//! Takes the log settings and sets up the process's log on stderr: text for people or JSON, one
//! object a line. stdout stays free for what a command is asked to print.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Log, LogFormat};

/// Sets the log up, once per process.
pub(crate) fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::builder()
        .parse(&log.filter)
        .context("log_level")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain on stderr that stderr is closed, and panic over that.
        .log_internal_errors(false);
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => lines.with_ansi(false).finish().try_init(),
        LogFormat::Auto => lines.with_ansi(colour_is_welcome()).finish().try_init(),
    };
    started.context("the log cannot be set up")
}

/// On a terminal, unless the user asked for none (no-color.org).
fn colour_is_welcome() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}
