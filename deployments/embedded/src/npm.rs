//! Runs the npm client to fetch the package that holds the library: a folder goes in, the path of
//! the package's tarball in it comes out. Everything npm writes stays in that folder; what it
//! fetched is not trusted here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::folder::last_lines;

/// The package and the one version this program was built for.
pub(crate) const PACKAGE: &str = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1";
/// The size of its tarball in bytes.
pub(crate) const TARBALL_BYTES: u64 = 177_817_999;

/// How often the growing download is measured and reported.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// npm is ended when nothing arrived for so long. Its own retries take about 80 s to give up.
const STALL_S: u64 = 180;
const OUTPUT_LINES: usize = 12;

/// Downloads the package into `folder`, calling `progress` with the bytes received so far.
///
/// # Errors
/// [`Error::NoNpm`], [`Error::NpmFailed`], [`Error::NpmStalled`], [`Error::Io`].
pub(crate) fn pack(folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<PathBuf, Error> {
    let output = folder.join("npm.out");
    let cache = folder.join("npm-cache");
    let log = File::create(&output).map_err(Error::io("create", &output))?;
    let log_too = log.try_clone().map_err(Error::io("open", &output))?;
    // A cache of its own: the growing file shows the progress, and no second copy stays behind.
    let mut npm = Command::new("npm")
        .args([
            "pack",
            PACKAGE,
            "--ignore-scripts",
            "--no-update-notifier",
            "--loglevel=error",
        ])
        .args([
            "--fetch-retries=2",
            "--fetch-timeout=60000",
            "--pack-destination=.",
        ])
        .arg("--cache=npm-cache")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoNpm,
            _ => Error::io("run", "npm".as_ref())(error),
        })?;

    let mut received = 0;
    let mut last_growth = Instant::now();
    let status = loop {
        if let Some(status) = npm
            .try_wait()
            .map_err(Error::io("wait for", "npm".as_ref()))?
        {
            break status;
        }
        let now = largest_file(folder).min(TARBALL_BYTES);
        if now > received {
            (received, last_growth) = (now, Instant::now());
        } else if last_growth.elapsed() > Duration::from_secs(STALL_S) {
            let _ = npm.kill();
            let _ = npm.wait();
            return Err(Error::NpmStalled {
                package: PACKAGE,
                seconds: STALL_S,
            });
        }
        progress(received);
        thread::sleep(HEARTBEAT);
    };

    let tarball = fs::read_dir(folder)
        .map_err(Error::io("read", folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ext| ext == "tgz"));
    match tarball {
        Some(tarball) if status.success() => {
            fs::remove_dir_all(&cache)
                .or_else(ignore_missing)
                .map_err(Error::io("delete", &cache))?;
            Ok(tarball)
        }
        _ => {
            let said = fs::read_to_string(&output).unwrap_or_default();
            let output = last_lines(&said, OUTPUT_LINES);
            Err(Error::NpmFailed {
                package: PACKAGE,
                status,
                output,
            })
        }
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// The size of the largest file below `folder`: npm writes the download into a file of its cache
/// and then copies it. Files that vanish meanwhile count as empty.
fn largest_file(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => largest_file(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}
