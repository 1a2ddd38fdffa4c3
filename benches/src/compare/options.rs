//! The command line of the comparison. Its load is `spanmill loadgen`'s, with defaults for this purpose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser};
use spanmill_loadgen::Options as Load;

/// Measure another receiver of OTLP beside Spanmill, run by run in turn
///
/// The other is the command behind `--`, in which these are filled in: {otlp_grpc} and {otlp_http}, where it must
/// listen (host:port; --protocol says which is used), {clickhouse_native} and {clickhouse_http}, where what it
/// inserts goes, {folder}, a folder of its own, and {file}, what --fill made. Or it runs already: --other-pid.
#[derive(Debug, Clone, Parser)]
#[command(name = "compare", max_term_width = 100)]
#[group(id = "comparison")]
pub(crate) struct Options {
    /// Runs of each side
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Our program [default: SPANMILL_BIN, or one that is built now]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) ours: Option<PathBuf>,
    /// An argument more for our engine; can be repeated
    #[arg(long = "ours-arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) ours_args: Vec<String>,
    /// A file to fill in for the other's command, such as its configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) fill: Option<PathBuf>,
    /// The other runs already as this process, on whichever CPUs it was started on
    #[arg(
        long,
        value_name = "PID",
        requires = "other_otlp",
        conflicts_with = "other"
    )]
    pub(crate) other_pid: Option<u32>,
    /// Where that one listens, with the protocol that --protocol says
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) other_otlp: Option<SocketAddr>,
    /// Insert into a real ClickHouse, embedded, with Spanmill's tables in it, in place of a sink that keeps nothing
    #[arg(long, conflicts_with_all = ["sink_native", "sink_http"])]
    pub(crate) clickhouse: bool,
    /// Where the sink takes the native protocol
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) sink_native: SocketAddr,
    /// Where the sink takes HTTP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) sink_http: SocketAddr,
    /// The CPU that the receivers are kept on; load and sink have all others
    #[arg(long, default_value_t = 0)]
    pub(crate) cpu: usize,
    /// Let the scheduler place everything
    #[arg(long)]
    pub(crate) not_pinned: bool,
    /// How long each is loaded before it is measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) warm_up: Duration,
    /// How long a receiver must be at rest to count as done: longer than it gathers before it inserts
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) quiet: Duration,
    /// Print one JSON object for machines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) load: Load,
    /// The other's command
    #[arg(
        last = true,
        value_name = "COMMAND",
        required_unless_present = "other_pid"
    )]
    pub(crate) other: Vec<String>,
}

/// From this process's arguments; ends it when they cannot be understood.
pub(crate) fn parse() -> Options {
    parse_from(std::env::args()).unwrap_or_else(|error| error.exit())
}

pub(crate) fn parse_from(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Options, clap::Error> {
    let mut command = Options::command();
    for (name, default) in [
        ("rate", "max"),
        ("duration", "10s"),
        ("items_per_request", "1000"),
        ("connections", "8"),
    ] {
        command = command.mut_arg(name, |argument| argument.default_value(default));
    }
    command = command.mut_arg("endpoint", |argument| argument.hide(true));
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    let options = Options::from_arg_matches_mut(&mut matches)?;
    let refused = match (&options.load.endpoint, options.load.check()) {
        (Some(_), _) => "--endpoint says nothing here: each side has its own".to_owned(),
        (None, Err(error)) => error.to_string(),
        (None, Ok(())) => return Ok(options),
    };
    Err(command.error(clap::error::ErrorKind::ValueValidation, refused))
}
