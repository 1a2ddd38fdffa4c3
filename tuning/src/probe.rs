//! What no file says: io_uring, the clock, free space, and how long a sync takes. Each is tried once, and what
//! came of it is a plain value, so that checks can be given made-up ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use spanmill_engine::host_needs;

use crate::kernel::{self, Clock};

/// Bytes that are written before each sync: about a chunk of 1,000 spans.
const SYNC_BYTES: usize = 64 << 10;
/// Syncs that are measured, and the time after which fewer must do.
const SYNCS: usize = 64;
const SYNCS_MIN: usize = 8;
const SYNC_PATIENCE: Duration = Duration::from_secs(3);

/// How long syncs took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Syncs {
    pub(crate) count: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The disk of the log.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// `wal_dir`, or the nearest folder above it that exists, without symbolic links.
    pub(crate) folder: PathBuf,
    /// Bytes that are free for this user.
    pub(crate) free: Result<u64, String>,
    pub(crate) syncs: Result<Syncs, String>,
}

/// What was tried.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    /// Whether a ring could be set up, or the operating system's error number.
    pub(crate) io_uring: Result<(), i32>,
    pub(crate) clock: Result<Clock, String>,
    pub(crate) disk: Disk,
}

/// Tries everything on this machine.
pub(crate) fn all(wal_dir: &Path) -> Probed {
    let folder = nearest_folder(wal_dir);
    let words = |error: io::Error| error.to_string();
    Probed {
        io_uring: host_needs::try_io_uring()
            .map_err(|error| error.raw_os_error().unwrap_or_default()),
        clock: kernel::clock().map_err(words),
        disk: Disk {
            free: free(&folder).map_err(words),
            syncs: syncs(&folder).map_err(words),
            folder,
        },
    }
}

/// The folder itself if it is there, else the nearest above it that is.
fn nearest_folder(wanted: &Path) -> PathBuf {
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.to_owned());
    let there = absolute
        .ancestors()
        .find_map(|folder| folder.canonicalize().ok());
    there.unwrap_or(absolute)
}

fn free(folder: &Path) -> io::Result<u64> {
    let stat = statvfs(folder)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Writes and syncs as the log does, in a file without a name, which is gone whatever ends this process.
fn syncs(folder: &Path) -> io::Result<Syncs> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let bytes = vec![0xA5; SYNC_BYTES];
    let begun = Instant::now();
    let mut times = Vec::with_capacity(SYNCS);
    while times.len() < SYNCS && (times.len() < SYNCS_MIN || begun.elapsed() < SYNC_PATIENCE) {
        file.write_all(&bytes)?;
        let sync = Instant::now();
        file.sync_data()?;
        times.push(sync.elapsed());
    }
    times.sort_unstable();
    let part = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100).max(1) - 1;
        times[place].as_secs_f64() * 1e3
    };
    Ok(Syncs {
        count: times.len(),
        p50_ms: part(50),
        p99_ms: part(99),
    })
}
