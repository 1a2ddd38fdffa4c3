//! `spanmill certify`: arguments go in, progress goes to stderr, verdicts to stdout, and reports into a folder. All
//! it does is in the library.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use spanmill_loadgen::{Snapshot, Stop};

use crate::error::Error;
use crate::options::Options;
use crate::report::Report;
use crate::run::{Progress, certify};
use crate::start::{Installation, terminate};

/// Seconds between two lines where stderr is no terminal.
const LINE_EVERY: u64 = 10;

/// Certify a running installation against targets: rate, loss, CPU, memory, queries, disk
///
/// Sends marked spans, watches the engine and ClickHouse, asks queries beside it, counts what is stored, and gives
/// a verdict for each target. The defaults fit a `spanmill up` on this machine. Exit codes: 0 when all targets
/// were met, 1 when one was missed, 2 when something could not be measured.
#[derive(Debug, Parser)]
#[command(
    name = "certify",
    bin_name = "spanmill certify",
    version,
    max_term_width = 100
)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Folder for report.json and report.html, made if missing
    #[arg(long, value_name = "FOLDER", default_value = "certify-report")]
    out: PathBuf,
    /// Certify a `spanmill up` of its own, in a temporary folder on free ports, and end it afterwards
    #[arg(long, conflicts_with_all = ["otlp_grpc", "admin", "clickhouse", "query"])]
    start: bool,
    /// With --start: arguments of that `up`, such as -- --shards 1 --memory-max 512MiB
    #[arg(last = true, requires = "start", value_name = "ARGUMENTS OF UP")]
    up: Vec<OsString>,
}

/// Runs the subcommand with what stands behind its name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = std::iter::once("spanmill certify".into());
    let arguments = match Arguments::try_parse_from(name.chain(arguments)) {
        Ok(arguments) => arguments,
        Err(help_or_complaint) => help_or_complaint.exit(),
    };
    match run(arguments) {
        Ok(report) => ExitCode::from(report.exit_code()),
        Err(error) => {
            eprintln!("spanmill certify: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<Report, Error> {
    let Arguments {
        mut options,
        out,
        start,
        up,
    } = arguments;
    options.check()?;
    let stop = Stop::default();
    let child = Arc::new(AtomicI32::new(0));
    stop_at_signals(&stop, &child)?;
    let installation = match start {
        true => {
            eprintln!("starting an installation");
            Some(Installation::start(&mut options, &up, &stop, &child)?)
        }
        false => None,
    };
    let is_terminal = std::io::stderr().is_terminal();
    let mut seconds = 0;
    let mut is_open = false;
    let report = certify(&options, &stop, |progress| match progress {
        Progress::Begins(words) => {
            let end = if std::mem::take(&mut is_open) {
                "\n"
            } else {
                ""
            };
            eprintln!("{end}{words}");
            seconds = 0;
        }
        Progress::Second(snapshot) => {
            seconds += 1;
            if is_terminal {
                is_open = true;
                eprint!("\r\x1b[K{}", line(snapshot));
            } else if seconds % LINE_EVERY == 0 {
                eprintln!("{}", line(snapshot));
            }
        }
    })?;
    drop(installation);
    report.save(&out)?;
    let end = format!("Report: {}\n", out.join("report.html").display());
    // Whoever read it may have gone; the exit code still says how it went.
    let _ = std::io::stdout().write_all((report.summary() + &end).as_bytes());
    Ok(report)
}

fn line(snapshot: &Snapshot) -> String {
    let Snapshot { total, second, .. } = snapshot;
    let lost = total.rejected + total.failed + total.unknown + total.not_sent;
    format!(
        "  {:5.0} s  {:9.0}/s acknowledged ({:.0}/s due)  p50 {:.2}  p99 {:.2} ms  {lost} spans not taken",
        snapshot.elapsed_seconds,
        second.acknowledged as f64 / second.seconds,
        second.due as f64 / second.seconds,
        second.latency_ms.p50,
        second.latency_ms.p99,
    )
}

/// The first signal ends the load, the second the process, and what it has started.
fn stop_at_signals(stop: &Stop, child: &Arc<AtomicI32>) -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::Thread)?;
    let (stop, child) = (stop.clone(), Arc::clone(child));
    let watch = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            eprintln!("\nending: what was measured is being counted");
            stop.stop();
        }
        if signals.next().is_some() {
            terminate(child.load(Ordering::SeqCst));
            std::process::exit(130);
        }
    };
    let thread = std::thread::Builder::new()
        .name("certify-signals".into())
        .spawn(watch);
    thread.map(drop).map_err(Error::Thread)
}
