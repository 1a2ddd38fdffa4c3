//! Everything that can go wrong with the embedded ClickHouse, each with what happened, to what,
//! and what to do about it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the embedded ClickHouse could not be fetched, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No build of the library exists for this machine.
    #[error(
        "the embedded ClickHouse exists only for x86-64 Linux with glibc and SSE 4.2, and this is \
         {found}: use a ClickHouse server instead"
    )]
    UnsupportedPlatform {
        /// What this machine is.
        found: String,
    },
    /// There is no place for the cache.
    #[error("no folder for the cache: set XDG_CACHE_HOME or HOME to an absolute path")]
    NoCacheFolder,
    /// The npm client is not installed.
    #[error(
        "`npm` was not found on PATH; it fetches the embedded ClickHouse once. Install Node.js, \
         which brings npm, or set SPANMILL_LIBCHDB to a libchdb.so that is already here"
    )]
    NoNpm,
    /// The npm client ran and gave no package.
    #[error("`npm pack {package}` failed ({status}); it said:\n{output}")]
    NpmFailed {
        /// The package and version asked for.
        package: &'static str,
        /// How npm ended.
        status: ExitStatus,
        /// The last lines npm wrote.
        output: String,
    },
    /// The npm client made no progress and was ended.
    #[error(
        "`npm pack {package}` received nothing for {seconds} s and was ended: check the network \
         and npm's registry and proxy settings, then start again"
    )]
    NpmStalled {
        /// The package and version asked for.
        package: &'static str,
        /// How long nothing came, in seconds.
        seconds: u64,
    },
    /// What was downloaded is not the package this program was built for.
    #[error(
        "the download of {package} is broken: its checksum is {found}, expected {expected}. It was \
         deleted; start again, and if it happens again check what npm's registry or proxy serves"
    )]
    BrokenDownload {
        /// The package and version asked for.
        package: &'static str,
        /// The checksum this program knows, in npm's notation.
        expected: &'static str,
        /// The checksum of what came.
        found: String,
    },
    /// A folder's file system is too full.
    #[error(
        "not enough space in {}: {needed_mb} MB are needed and {free_mb} MB are free; make room, or \
         set XDG_CACHE_HOME to a folder on a larger disk", folder.display()
    )]
    NoSpace {
        /// The folder that was to be written.
        folder: PathBuf,
        /// What is needed, in 10^6 bytes.
        needed_mb: u64,
        /// What is free to this user, in 10^6 bytes.
        free_mb: u64,
    },
    /// The library that was named is not there.
    #[error(
        "there is no ClickHouse library at {}: point SPANMILL_LIBCHDB at a libchdb.so, or unset it \
         to have one fetched", path.display()
    )]
    LibraryMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The port asked for belongs to somebody else.
    #[error("port {port} on 127.0.0.1, wanted for {purpose}, is taken: free it or choose another")]
    PortTaken {
        /// The port.
        port: u16,
        /// What it was wanted for.
        purpose: &'static str,
    },
    /// Another server runs on the data folder.
    #[error(
        "the data folder {} is in use{}: stop that server or choose another folder",
        folder.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    DataFolderInUse {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it, where it left its number.
        holder: Option<u32>,
    },
    /// The folder is one of a server that runs.
    #[error("the server of {} runs: stop it first", folder.display())]
    ServerRuns {
        /// The folder.
        folder: PathBuf,
    },
    /// The program that hosts the library could not be run.
    #[error("cannot run {program:?} to host ClickHouse: {source}")]
    HostProgram {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The host process ended or refused before the server answered.
    #[error("ClickHouse on {} did not start: {reason}. Its log ends with:\n{log}", folder.display())]
    StartFailed {
        /// The data folder.
        folder: PathBuf,
        /// What was seen.
        reason: String,
        /// The last meaningful lines of the log.
        log: String,
    },
    /// The server had to be killed.
    #[error(
        "ClickHouse on {} did not stop within {seconds} s of SIGTERM and was killed; acknowledged \
         rows are kept", folder.display()
    )]
    StopTimeout {
        /// The data folder.
        folder: PathBuf,
        /// How long it was given, in seconds.
        seconds: u64,
    },
    /// The server was gone before it was told to stop, or did not end cleanly.
    #[error("ClickHouse on {} ended on its own ({status}). Its log ends with:\n{log}", folder.display())]
    Died {
        /// The data folder.
        folder: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last meaningful lines of the log.
        log: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error with what was tried on which path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }
    }
}
