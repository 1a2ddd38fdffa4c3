//! One Export request, whichever transport brought it: its body is gathered within bounds, decompressed,
//! walked into the shard's columns, and answered when its rows are stored.

use std::rc::Rc;

use crate::decode::{Rejected, Signal};
use crate::inflate::{ENCODINGS, Encoding, InflateError};
use crate::json::{self, JsonError};
use crate::memory::Reservation;
use crate::refusal::{Kind, Refusal};
use crate::shard::Shard;

/// The encoding that `grpc-encoding` or `content-encoding` names.
pub(super) fn encoding(header: Option<&http::HeaderValue>) -> Result<Encoding, Refusal> {
    let Some(header) = header else {
        return Ok(Encoding::Identity);
    };
    Encoding::named(header.as_bytes()).ok_or_else(|| {
        Refusal::new(
            Kind::Encoding,
            format!("unknown encoding {header:?}; use one of {ENCODINGS}"),
        )
    })
}

/// What a decompressed body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Protobuf,
    Json,
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
            reservation: shard.memory.reservation(),
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
        syntax: Syntax,
    ) -> Result<Rejected, Refusal> {
        if encoding != Encoding::Identity {
            self.step(|shard, packed, plain| inflate(shard, encoding, packed, plain))?;
        }
        if syntax == Syntax::Json {
            self.step(|shard, json, protobuf| to_protobuf(shard, signal, json, protobuf))?;
        }
        let accepted = self.shard.accept(signal, &self.bytes[self.framing..])?;
        // The bytes are in the columns now, and counted there.
        self.shard.keep_buffer(std::mem::take(&mut self.bytes));
        self.reservation.set(0);
        if let Some(waiting) = accepted.waiting {
            waiting.answer().await?;
        }
        Ok(accepted.rejected)
    }

    /// Replaces the body by what `make` makes of it. Only these two are ever held at once.
    fn step(
        &mut self,
        make: impl FnOnce(&Shard, &[u8], &mut Vec<u8>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut next = self.shard.buffer();
        let made = make(&self.shard, &self.bytes[self.framing..], &mut next)
            .and_then(|()| self.reservation.grow(next.len()));
        let last = std::mem::replace(&mut self.bytes, next);
        self.framing = 0;
        made?;
        self.reservation.shrink(last.len());
        self.shard.keep_buffer(last);
        Ok(())
    }
}

fn inflate(
    shard: &Shard,
    encoding: Encoding,
    packed: &[u8],
    plain: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let limit = shard.config.request_bytes_max;
    let inflated = shard.inflate().decompress(encoding, packed, plain, limit);
    inflated.map_err(|error| match error {
        InflateError::Broken | InflateError::Window => Refusal::new(
            Kind::Invalid,
            format!("the body is not valid {}: {error}", encoding.name()),
        ),
        InflateError::TooLarge => Refusal::too_large(limit, "decompressed"),
        InflateError::NoMemory => Refusal::unavailable("out of memory"),
    })
}

fn to_protobuf(
    shard: &Shard,
    signal: Signal,
    json: &[u8],
    protobuf: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let limit = shard.config.request_bytes_max;
    json::to_protobuf(signal, json, protobuf, limit).map_err(|error| match error {
        JsonError::Invalid(_) => Refusal::new(Kind::Invalid, error.to_string()),
        JsonError::TooLarge => Refusal::too_large(limit, "as protobuf"),
    })
}
