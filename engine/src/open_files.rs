//! The limit on open files, which bounds how many connections are served: raised before a start, by whoever owns
//! the process.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises this process's soft limit on open files to the hard one, and gives back what it was and what it is. The
/// soft one is low in most shells and units for the sake of programs that call `select`, which this one does not.
///
/// # Errors
/// When the kernel refuses, as where the hard limit is above what it allows anyone by now.
pub fn raise_open_files() -> io::Result<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok((soft, hard))
}
