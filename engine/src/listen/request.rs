//! One Export request, whichever transport brought it: its body is gathered within bounds, decompressed,
//! walked into the shard's columns, and answered when its rows are stored.

use std::rc::Rc;

use crate::decode::{Rejected, Signal};
use crate::gunzip::GunzipError;
use crate::refusal::{Kind, Refusal};
use crate::shard::{Reservation, Shard};

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// What requests may be encoded with, for the answer's own header.
pub(super) const ENCODINGS: &str = "identity,gzip";

impl Encoding {
    /// From `grpc-encoding` or `content-encoding`.
    pub(super) fn parse(header: Option<&http::HeaderValue>) -> Result<Self, Refusal> {
        let Some(header) = header else {
            return Ok(Encoding::Identity);
        };
        if header.as_bytes().eq_ignore_ascii_case(b"identity") {
            Ok(Encoding::Identity)
        } else if header.as_bytes().eq_ignore_ascii_case(b"gzip") {
            Ok(Encoding::Gzip)
        } else {
            Err(Refusal::new(
                Kind::Encoding,
                format!("unknown encoding {header:?}; use one of {ENCODINGS}"),
            ))
        }
    }
}

/// A body while it arrives.
pub(super) struct Body {
    shard: Rc<Shard>,
    /// Bytes that the transport itself puts before the request.
    framing: usize,
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl Body {
    /// Begins a body, if the shard takes requests at all. Its first `framing` bytes are the transport's.
    pub(super) fn begin(shard: &Rc<Shard>, framing: usize) -> Result<Self, Refusal> {
        shard.admit()?;
        Ok(Body {
            framing,
            shard: Rc::clone(shard),
            bytes: shard.buffer(),
            reservation: Reservation::new(shard),
        })
    }

    /// Refuses a body that says it is larger than allowed, before it is sent. `length` is without framing.
    pub(super) fn announce(&self, length: usize) -> Result<(), Refusal> {
        let limit = self.shard.config.request_bytes_max;
        if length > limit {
            return Err(Refusal::too_large(limit, "on the wire"));
        }
        Ok(())
    }

    /// Appends what arrived.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Refusal> {
        self.announce((self.bytes.len() + part.len()).saturating_sub(self.framing))?;
        self.reservation.grow(part.len())?;
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Decompresses and walks what follows the framing, waits until its rows are stored, and says which
    /// were left out.
    pub(super) async fn store(
        mut self,
        signal: Signal,
        encoding: Encoding,
    ) -> Result<Rejected, Refusal> {
        let accepted = match encoding {
            Encoding::Identity => self.shard.accept(signal, &self.bytes[self.framing..])?,
            Encoding::Gzip => {
                let mut plain = self.shard.buffer();
                let walked = self
                    .inflate(&mut plain)
                    .and_then(|()| self.shard.accept(signal, &plain));
                self.shard.keep_buffer(plain);
                walked?
            }
        };
        // The bytes are in the columns now; what stays reserved until the answer stands for those.
        self.shard.keep_buffer(std::mem::take(&mut self.bytes));
        if let Some(waiting) = accepted.waiting {
            waiting.answer().await?;
        }
        Ok(accepted.rejected)
    }

    fn inflate(&mut self, plain: &mut Vec<u8>) -> Result<(), Refusal> {
        let limit = self.shard.config.request_bytes_max;
        let inflated = self
            .shard
            .gunzip()
            .decompress(&self.bytes[self.framing..], plain, limit);
        match inflated {
            Ok(()) => self.reservation.grow(plain.len()),
            Err(GunzipError::Broken) => Err(Refusal::new(
                Kind::Invalid,
                "the body is not valid gzip: damaged or cut short",
            )),
            Err(GunzipError::TooLarge) => Err(Refusal::too_large(limit, "decompressed")),
            Err(GunzipError::NoMemory) => Err(Refusal::unavailable("out of memory")),
        }
    }
}
