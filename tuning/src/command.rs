//! The subcommand: takes its arguments, examines this machine, and prints what was found. Its exit code is 0
//! without problems, 1 with some, 2 for bad arguments.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::checks;
use crate::finding::Report;
use crate::probe;
use crate::root::Root;

/// Check this host: what slows the engine or endangers what it acknowledged, what to change, and why
///
/// Changes nothing. Run it as the user, in the unit or container and with the limits that the engine has:
/// it reports those of its own process. Exit codes: 0 without problems (advice is none), 1 with problems,
/// 2 for bad arguments.
#[derive(Debug, Parser)]
#[command(bin_name = "spanmill doctor", max_term_width = 100)]
struct Arguments {
    /// Print one JSON object for machines
    #[arg(long)]
    json: bool,
    /// Where the write-ahead log is or will be; 64 KiB are written and synced there some dozen times
    /// [default: the folder `wal` in data_dir]
    #[arg(long, value_name = "FOLDER", env = "SPANMILL_WAL_DIR")]
    wal_dir: Option<PathBuf>,
    /// Shards that the engine will have [default: the CPUs usable here, by affinity and cgroup quota]
    #[arg(long, value_name = "COUNT", env = "SPANMILL_SHARDS",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
}

/// Runs the subcommand with the arguments behind its name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("spanmill doctor");
    let arguments = match Arguments::try_parse_from(iter::once(name).chain(arguments)) {
        Ok(arguments) => arguments,
        Err(help_or_complaint) => help_or_complaint.exit(),
    };
    let wal_dir = arguments.wal_dir.unwrap_or_else(default_wal_dir);
    let probed = probe::all(&wal_dir);
    let shards = arguments.shards.map(usize::from);
    let report = checks::examine(&Root::new("/"), &probed, &wal_dir, shards);
    match print(&report, arguments.json) {
        Ok(()) if report.problems == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            // A closed stderr leaves the exit code to tell.
            let _ = writeln!(io::stderr(), "spanmill doctor: stdout: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As the engine's settings choose it; where there is no home, the folder one is in.
fn default_wal_dir() -> PathBuf {
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let data_home =
        || absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let data_dir = env::var_os("SPANMILL_DATA_DIR").map(PathBuf::from);
    let data_dir = data_dir.or_else(|| Some(data_home()?.join("spanmill")));
    data_dir.unwrap_or_default().join("wal")
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let text = match json {
        true => serde_json::to_string_pretty(report)? + "\n",
        false => report.text(),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
