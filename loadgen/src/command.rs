//! `spanmill loadgen`: arguments go in, a report comes out on stdout and in a folder. All it does is in the
//! library.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;
use crate::live::Live;
use crate::options::Options;
use crate::run::{Stop, run};
use crate::watch::Snapshot;

/// Seconds between two lines where stderr is no terminal.
const LINE_EVERY: u64 = 10;

/// Load an OTLP endpoint on a fixed schedule, and report latencies and failures
///
/// Requests are due at fixed times whatever the endpoint does, and latencies count from then. Exit codes: 0 when
/// something was acknowledged and nothing was lost, 1 otherwise, 2 for bad options.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    bin_name = "spanmill loadgen",
    version,
    max_term_width = 100
)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Folder for report.json and latency.hgrm, made if missing
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Show a page of how it goes at this loopback address, such as 127.0.0.1:4320
    #[arg(long, value_name = "IP:PORT")]
    live: Option<SocketAddr>,
}

/// Runs the subcommand with what stands behind its name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = std::iter::once("spanmill loadgen".into());
    let arguments = match Arguments::try_parse_from(name.chain(arguments)) {
        Ok(arguments) => arguments,
        Err(help_or_complaint) => help_or_complaint.exit(),
    };
    match load(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("spanmill loadgen: {error}");
            let is_usage = matches!(error, Error::Options(_) | Error::LiveAddress(_));
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

fn load(arguments: &Arguments) -> Result<bool, Error> {
    let options = &arguments.options;
    let stop = Stop::default();
    stop_at_signals(&stop)?;
    let live = arguments
        .live
        .map(|address| Live::start(address, options))
        .transpose()?;
    if let Some(live) = &live {
        eprintln!("live page: http://{}/", live.address());
    }
    let is_terminal = std::io::stderr().is_terminal();
    let mut seconds = 0;
    let report = run(options, &stop, |snapshot| {
        seconds += 1;
        if is_terminal {
            eprint!("\r\x1b[K{}", line(snapshot));
        } else if seconds % LINE_EVERY == 0 {
            eprintln!("{}", line(snapshot));
        }
        if let Some(live) = &live {
            live.show(snapshot);
        }
    })?;
    if is_terminal {
        eprintln!();
    }
    if let Some(folder) = &arguments.out {
        report.save(folder)?;
    }
    // Whoever read it may have gone; the exit code still says how it went.
    let _ = std::io::stdout().write_all(report.summary().as_bytes());
    Ok(report.is_success())
}

fn line(snapshot: &Snapshot) -> String {
    let Snapshot { total, second, .. } = snapshot;
    let latency = second.latency_ms;
    let lost = total.rejected + total.failed + total.unknown + total.not_sent;
    format!(
        "{:5.0} s  {:9.0}/s acknowledged ({:.0}/s due)  p50 {:.2}  p99 {:.2}  max {:.2} ms  {} failed tries, {lost} items lost",
        snapshot.elapsed_seconds,
        second.acknowledged as f64 / second.seconds,
        second.due as f64 / second.seconds,
        latency.p50,
        latency.p99,
        latency.max,
        snapshot
            .failures
            .values()
            .map(|failures| failures.tries)
            .sum::<u64>(),
    )
}

/// The first signal ends the sending, the second the process.
fn stop_at_signals(stop: &Stop) -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::Thread)?;
    let stop = stop.clone();
    let watch = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stop.stop();
        }
        if signals.next().is_some() {
            std::process::exit(130);
        }
    };
    let thread = std::thread::Builder::new()
        .name("loadgen-signals".into())
        .spawn(watch);
    thread.map(drop).map_err(Error::Thread)
}
