//! The package's tarball: checked against the one checksum this program knows, then unpacked. Only
//! the library is taken from it.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha512};

use crate::npm::{PACKAGE, TARBALL_BYTES};
use crate::{Error, Progress};

/// The checksum of the package's tarball as npm writes it.
const INTEGRITY: &str = "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==";
/// The library's path in the tarball, and its size in bytes.
const LIBRARY_MEMBER: &str = "package/libchdb.so";
pub(crate) const LIBRARY_BYTES: u64 = 566_330_096;
const BUFFER_BYTES: usize = 256 << 10;

/// Whether the tarball is the one this program was built for.
///
/// # Errors
/// [`Error::BrokenDownload`], [`Error::Io`].
pub(crate) fn check_integrity(
    tarball: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let mut hash = Sha512::new();
    let mut file = File::open(tarball).map_err(Error::io("open", tarball))?;
    copy(&mut file, &mut DigestWriter(&mut hash), &mut |bytes| {
        progress(Progress::Checking(bytes, TARBALL_BYTES));
    })
    .map_err(Error::io("read", tarball))?;
    let found = format!("sha512-{}", BASE64_STANDARD.encode(hash.finalize()));
    if found == INTEGRITY {
        Ok(())
    } else {
        Err(Error::BrokenDownload {
            package: PACKAGE,
            expected: INTEGRITY,
            found,
        })
    }
}

/// Writes the library in the tarball to `to`, and onto the disk.
///
/// # Errors
/// [`Error::Io`], also when the tarball holds no whole library.
pub(crate) fn unpack(
    tarball: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let file = File::open(tarball).map_err(Error::io("open", tarball))?;
    let mut archive =
        tar::Archive::new(GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file)));
    let mut out = File::create(to).map_err(Error::io("create", to))?;
    for entry in archive.entries().map_err(Error::io("unpack", tarball))? {
        let mut entry = entry.map_err(Error::io("unpack", tarball))?;
        if entry.path_bytes() != LIBRARY_MEMBER.as_bytes() {
            continue;
        }
        let written = copy(&mut entry, &mut out, &mut |bytes| {
            progress(Progress::Unpacking(bytes, LIBRARY_BYTES));
        })
        .map_err(Error::io("unpack the library to", to))?;
        // On the disk before the final name: after a power cut a file of that name is whole.
        out.sync_all().map_err(Error::io("flush", to))?;
        if written == LIBRARY_BYTES {
            return Ok(());
        }
    }
    let missing = io::Error::new(io::ErrorKind::UnexpectedEof, "no whole library in it");
    Err(Error::io("unpack", tarball)(missing))
}

/// Copies everything, calling `progress` with the bytes so far every 8 MiB.
fn copy(from: &mut dyn Read, to: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut copied, mut reported) = (0, 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                to.write_all(&buffer[..n])?;
                copied += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if copied - reported >= 8 << 20 {
            progress(copied);
            reported = copied;
        }
    }
    progress(copied);
    Ok(copied)
}

struct DigestWriter<'a>(&'a mut Sha512);

impl Write for DigestWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
