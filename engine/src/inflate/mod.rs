//! Decompresses a whole body into a buffer that never grows past a limit, whatever the body claims and in
//! whichever encoding it comes.

mod deflate;
mod zstd;

#[cfg(test)]
mod tests;

use deflate::{Handle, Wrapping};

use crate::limits::ZSTD_WINDOW_LOGS;

/// Room to begin with when the body claims nothing useful.
const ROOM_MIN: usize = 4096;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

/// What requests may be encoded with, for the answer's own header.
pub(crate) const ENCODINGS: &str = "identity,gzip,zstd,deflate";

impl Encoding {
    const ALL: [Encoding; 4] = [
        Encoding::Identity,
        Encoding::Gzip,
        Encoding::Deflate,
        Encoding::Zstd,
    ];

    /// Name in `grpc-encoding` and `content-encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            Encoding::Zstd => "zstd",
        }
    }

    /// The encoding of this name, in whatever case.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let mut all = Encoding::ALL.into_iter();
        all.find(|encoding| name.eq_ignore_ascii_case(encoding.name().as_bytes()))
    }
}

/// Why a body was not decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InflateError {
    /// It is not in its encoding, or damaged, or cut short.
    #[error("damaged or cut short")]
    Broken,
    /// It is larger than the limit when decompressed.
    #[error("too large when decompressed")]
    TooLarge,
    /// It asks for more memory to look back on than is given to anyone.
    #[error(
        "its window is larger than this engine takes; send with a smaller window or a lower level"
    )]
    Window,
    /// There is no memory for the decompressor.
    #[error("out of memory")]
    NoMemory,
}

/// A shard's decompressors, each made at its first use.
pub(crate) struct Inflate {
    window_log: u32,
    deflate: Option<Handle>,
    zstd: Option<zstd::Context>,
}

impl Default for Inflate {
    fn default() -> Self {
        Inflate::new(*ZSTD_WINDOW_LOGS.end())
    }
}

impl Inflate {
    /// Decompressors that take zstd windows of up to 2^`window_log` bytes.
    pub(crate) fn new(window_log: u32) -> Self {
        Inflate {
            window_log,
            deflate: None,
            zstd: None,
        }
    }

    /// Appends what `packed` holds to `plain`, which must be empty and ends no longer than `limit`.
    pub(crate) fn decompress(
        &mut self,
        encoding: Encoding,
        packed: &[u8],
        plain: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        let wrapping = match encoding {
            Encoding::Identity if packed.len() > limit => return Err(InflateError::TooLarge),
            Encoding::Identity => {
                plain.extend_from_slice(packed);
                return Ok(());
            }
            // Of the other encodings, even nothing is some bytes.
            _ if packed.is_empty() => return Err(InflateError::Broken),
            Encoding::Zstd => {
                let context = made(&mut self.zstd, || zstd::context(self.window_log))?;
                return zstd::decompress(context, packed, plain, limit);
            }
            Encoding::Gzip => Wrapping::Gzip,
            Encoding::Deflate => Wrapping::of_deflate(packed),
        };
        let handle = made(&mut self.deflate, Handle::new)?;
        handle.decompress(wrapping, packed, plain, limit)
    }
}

/// What is there already, or else is made now.
fn made<T>(
    place: &mut Option<T>,
    make: impl FnOnce() -> Result<T, InflateError>,
) -> Result<&mut T, InflateError> {
    match place {
        Some(there) => Ok(there),
        none => Ok(none.insert(make()?)),
    }
}
