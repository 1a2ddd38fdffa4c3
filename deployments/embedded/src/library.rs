//! The library file: a cache folder goes in, the path of a complete, checked `libchdb.so` in it
//! comes out. The first caller downloads and unpacks, others wait for it; a file under the final
//! name is always whole, because it is moved there last.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::npm::{self, TARBALL_BYTES};
use crate::package::{LIBRARY_BYTES, check_integrity, unpack};

/// The environment variable that names a `libchdb.so` to use in place of the fetched one.
pub const LIBRARY_VARIABLE: &str = "SPANMILL_LIBCHDB";

/// The library's path in the cache folder.
const LIBRARY_FOLDER: &str = "libchdb-26.7.3-stable.1";
const LIBRARY_FILE: &str = "libchdb.so";

/// The tarball and the library lie side by side for a moment. Before that npm holds the tarball
/// twice, which is less.
const FETCH_BYTES: u64 = TARBALL_BYTES + LIBRARY_BYTES;
const _: () = assert!(LIBRARY_BYTES > TARBALL_BYTES);
/// Left free for everybody else, in bytes.
const SPARE_BYTES: u64 = 32 << 20;
const STAGING: &str = "staging-";

/// What [`ensure_library`] is doing; sent about ten times a second while bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process holds the cache's lock, most likely downloading; sent once.
    Waiting,
    /// npm downloads: bytes so far, and in total. Also a heartbeat: the bytes may stand still.
    Downloading(u64, u64),
    /// The download's checksum is computed: bytes so far, and in total.
    Checking(u64, u64),
    /// The library is unpacked: bytes so far, and in total.
    Unpacking(u64, u64),
}

/// The library named by `SPANMILL_LIBCHDB`, when that is set and not empty.
pub fn library_from_env() -> Option<PathBuf> {
    env::var_os(LIBRARY_VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `$XDG_CACHE_HOME/spanmill`, or `~/.cache/spanmill`.
///
/// # Errors
/// [`Error::NoCacheFolder`] when neither variable holds an absolute path.
pub fn default_cache_dir() -> Result<PathBuf, Error> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .map(|cache| cache.join("spanmill"))
        .ok_or(Error::NoCacheFolder)
}

/// The library in `cache_dir`, fetched with npm when it is not there yet (178 MB to download, 566 MB
/// to keep). Any number of processes and threads may call this at once; one fetches.
///
/// # Errors
/// [`Error::UnsupportedPlatform`], [`Error::NoSpace`], [`Error::NoNpm`], [`Error::NpmFailed`],
/// [`Error::NpmStalled`], [`Error::BrokenDownload`], [`Error::Io`]. After each the cache holds no
/// trace of the attempt.
pub fn ensure_library(
    cache_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, Error> {
    check_platform()?;
    let library = cache_dir.join(LIBRARY_FOLDER).join(LIBRARY_FILE);
    if is_whole(&library) {
        return Ok(library);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache_dir)
        .map_err(Error::io("create the cache folder", cache_dir))?;
    let _lock = lock(&cache_dir.join("libchdb.lock"), progress)?;
    if !is_whole(&library) {
        fetch(cache_dir, &library, progress)?;
    }
    Ok(library)
}

/// The library to host: the one named, or the cached one.
pub(crate) fn resolve(named: Option<&Path>) -> Result<PathBuf, Error> {
    check_platform()?;
    match named {
        None => ensure_library(&default_cache_dir()?, &mut |_| {}),
        Some(path) if path.is_file() => path.canonicalize().map_err(Error::io("find", path)),
        Some(path) => Err(Error::LibraryMissing {
            path: path.to_owned(),
        }),
    }
}

fn check_platform() -> Result<(), Error> {
    let unsupported = |found: String| Err(Error::UnsupportedPlatform { found });
    #[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
    return if std::arch::is_x86_feature_detected!("sse4.2") {
        Ok(())
    } else {
        unsupported("an x86-64 CPU without SSE 4.2".to_owned())
    };
    #[allow(
        unreachable_code,
        reason = "the platform is known when this is compiled"
    )]
    unsupported(format!(
        "{} on {}, or not glibc",
        env::consts::ARCH,
        env::consts::OS
    ))
}

/// A cut-short file cannot get this name by our hands; the size catches damage by others.
fn is_whole(library: &Path) -> bool {
    fs::metadata(library).is_ok_and(|data| data.is_file() && data.len() == LIBRARY_BYTES)
}

fn lock(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    if file.try_lock().is_err() {
        progress(Progress::Waiting);
        // The holder ends in bounded time: npm is watched for stalls, the rest is local work.
        file.lock().map_err(Error::io("lock", path))?;
    }
    Ok(file)
}

fn fetch(cache: &Path, library: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
    delete_stale_staging(cache)?;
    let staging = tempfile::Builder::new()
        .prefix(STAGING)
        .tempdir_in(cache)
        .map_err(Error::io("create a folder in", cache))?;

    check_space(cache, FETCH_BYTES)?;
    progress(Progress::Downloading(0, TARBALL_BYTES));
    let tarball = npm::pack(staging.path(), &mut |bytes| {
        progress(Progress::Downloading(bytes, TARBALL_BYTES));
    })?;
    check_integrity(&tarball, progress)?;

    check_space(cache, LIBRARY_BYTES)?;
    let unpacked = staging.path().join(LIBRARY_FILE);
    unpack(&tarball, &unpacked, progress)?;

    let folder = cache.join(LIBRARY_FOLDER);
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    fs::rename(&unpacked, library).map_err(Error::io("move the library to", library))
}

/// Deletes what attempts that were killed left behind. Called under the lock, so nobody is in them.
fn delete_stale_staging(cache: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(cache)
        .map_err(Error::io("read", cache))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            fs::remove_dir_all(entry.path()).map_err(Error::io("delete", &entry.path()))?;
        }
    }
    Ok(())
}

fn check_space(folder: &Path, needed: u64) -> Result<(), Error> {
    let stat = nix::sys::statvfs::statvfs(folder)
        .map_err(|errno| Error::io("measure the free space of", folder)(errno.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    let needed = needed.saturating_add(SPARE_BYTES);
    if free >= needed {
        return Ok(());
    }
    let folder = folder.to_owned();
    Err(Error::NoSpace {
        folder,
        needed_mb: needed / 1_000_000,
        free_mb: free / 1_000_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: more is needed than any disk has. Guarantees: the error names the folder and both
    /// amounts; a small need passes.
    #[test]
    fn full_disk_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = check_space(folder.path(), u64::MAX - 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        assert!(
            error.contains("MB are needed") && error.contains("MB are free"),
            "{error}"
        );
        check_space(folder.path(), 1).unwrap();
    }

    /// Scenario: a file of the right name and the wrong size lies in the cache, as a damaged disk or
    /// a hand-made copy leaves it. Guarantees: it is not trusted.
    #[test]
    fn short_library_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join(LIBRARY_FILE);
        fs::write(&library, "half").unwrap();
        assert!(!is_whole(&library));
        File::options()
            .write(true)
            .open(&library)
            .unwrap()
            .set_len(LIBRARY_BYTES)
            .unwrap();
        assert!(is_whole(&library));
    }

    /// Scenario: an attempt was killed while it unpacked. Guarantees: its folder is deleted by the
    /// next one, other files stay.
    #[test]
    fn stale_staging_is_deleted() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join("staging-x")).unwrap();
        fs::write(cache.path().join("staging-x/libchdb.so"), "half").unwrap();
        fs::write(cache.path().join("other"), "").unwrap();
        delete_stale_staging(cache.path()).unwrap();
        assert!(!cache.path().join("staging-x").exists());
        assert!(cache.path().join("other").exists());
    }
}
