//! Lets ClickHouse and the kernel forget what they hold of the data, and ClickHouse load what it loads at a start.
//! What the disk itself remembers stays.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Result;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::data::Store;

const CACHES: [&str; 7] = [
    "MARK CACHE",
    "UNCOMPRESSED CACHE",
    "INDEX MARK CACHE",
    "INDEX UNCOMPRESSED CACHE",
    "PRIMARY INDEX CACHE",
    "QUERY CONDITION CACHE",
    "MMAP CACHE",
];

/// Tables whose marks a starting ClickHouse loads (`prewarm_mark_cache` in their settings).
const PREWARMED: [&str; 2] = ["spanmill.otel_traces", "spanmill.otel_trace_index"];

/// Drops ClickHouse's caches, and the pages of its files by `posix_fadvise`, which nobody else's files suffer from; then
/// has marks loaded as a start would. Pages are written back first: one that is not would stay, and begin to be written
/// just when the question reads.
pub(crate) fn drop_all(store: &Store) -> Result<()> {
    for cache in CACHES {
        store.query(&format!("SYSTEM DROP {cache}"))?;
    }
    let files = store.files();
    nix::unistd::syncfs(&File::open(&files)?)?;
    drop_pages(&files)?;
    for table in PREWARMED {
        store.query(&format!("SYSTEM PREWARM MARK CACHE {table}"))?;
    }
    Ok(())
}

fn drop_pages(folder: &Path) -> Result<()> {
    // Parts come and go meanwhile.
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => drop_pages(&entry.path())?,
            Ok(kind) if kind.is_file() => {
                if let Ok(file) = File::open(entry.path()) {
                    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
