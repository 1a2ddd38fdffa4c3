//! One Export request, whichever transport brought it: its body is gathered within bounds, decompressed,
//! walked into the shard's columns, and answered when its rows are stored.

use std::rc::Rc;

use tokio::sync::oneshot;

use crate::balance::{HandedAnswer, HandedBody, Place};
use crate::decode::{Rejected, Signal};
use crate::form::{Form, Syntax};
use crate::inflate::{ENCODINGS, Encoding, InflateError};
use crate::json::{self, JsonError};
use crate::limits::{BODY_BELIEVED_PART, BODY_GROWTH};
use crate::memory::Reservation;
use crate::reactor::{Reactor, within};
use crate::refusal::{Kind, Refusal};
use crate::shard::{Accepted, Shard};

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

/// A body while it arrives.
pub(super) struct Body {
    shard: Rc<Shard>,
    /// Bytes that the transport itself puts before the request.
    framing: usize,
    bytes: Vec<u8>,
    /// How long it says it is, framing included.
    announced: Option<usize>,
    /// Its buffer.
    reservation: Reservation,
}

impl Body {
    /// Begins a body, if the shard takes requests at all. Its first `framing` bytes are the transport's.
    pub(super) fn begin(shard: &Rc<Shard>, framing: usize) -> Result<Self, Refusal> {
        shard.admit()?;
        Ok(Body {
            framing,
            shard: Rc::clone(shard),
            bytes: Vec::new(),
            announced: None,
            reservation: shard.memory.reservation(),
        })
    }

    /// Refuses a body that says it is larger than allowed, or than there is memory for, before it is sent.
    /// `length` is without framing.
    pub(super) fn announce(&mut self, length: usize) -> Result<(), Refusal> {
        self.bound(length)?;
        if length > self.reservation.room() + self.reservation.bytes() {
            return Err(Refusal::no_memory());
        }
        self.announced = Some(length + self.framing);
        Ok(())
    }

    fn bound(&self, length: usize) -> Result<(), Refusal> {
        let limit = self.shard.config.request_bytes_max;
        if length > limit {
            return Err(Refusal::too_large(limit, "on the wire"));
        }
        Ok(())
    }

    /// Appends what arrived.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len() + part.len();
        self.bound(length.saturating_sub(self.framing))?;
        if length > self.bytes.capacity() {
            self.make_room(length)?;
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Replaces the buffer by one of at least `length` bytes. For as long as it is copied there are two. All of
    /// a buffer counts: an allocator may have used its memory before.
    fn make_room(&mut self, length: usize) -> Result<(), Refusal> {
        if self.bytes.capacity() == 0 {
            let kept = self.shard.buffer_of(self.announced.unwrap_or(length));
            self.reservation.grow(kept.capacity())?;
            self.bytes = kept;
            if self.bytes.capacity() >= length {
                return Ok(());
            }
        }
        let doubled = length.max(2 * self.bytes.capacity());
        let room = match self.announced {
            // So much of it came that the rest is believed.
            Some(announced) if announced / BODY_BELIEVED_PART <= length => announced.max(length),
            Some(announced) => doubled.min(announced.max(length)),
            None => doubled,
        };
        self.reservation.grow(room)?;
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&self.bytes);
        self.shard
            .keep_buffer(std::mem::replace(&mut self.bytes, bytes));
        self.reservation.set(self.bytes.capacity());
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Decompresses and walks what follows the framing, here or in a shard that has less to do, waits until
    /// its rows are stored, and says which were left out.
    pub(super) async fn store<R: Reactor>(mut self, form: Form) -> Result<Rejected, Refusal> {
        if let Some(balance) = &self.shard.balance
            && let Some(place) = balance.place_body(self.bytes.len())
        {
            return self.hand_over::<R>(form, place).await;
        }
        let accepted = self.walk(form)?;
        accepted.answer().await
    }

    /// Lets the shard of `place` do it. Until that has answered, the body stays reserved here.
    async fn hand_over<R: Reactor>(
        mut self,
        form: Form,
        place: Place,
    ) -> Result<Rejected, Refusal> {
        let shard = Rc::clone(&self.shard);
        let (answer, answered) = oneshot::channel();
        let handed = HandedBody {
            bytes: std::mem::take(&mut self.bytes),
            framing: self.framing,
            form,
            place,
            answer,
        };
        let sent = shard
            .balance
            .as_ref()
            .map(|balance| balance.hand_over(handed));
        if let Some(Err(unsent)) = sent {
            self.bytes = unsent.bytes;
            drop(unsent.place);
            return self.walk(form)?.answer().await;
        }
        shard.metrics.bodies_handed_over.inc();
        // A request that is walked here is answered in this time, too. What ends it is a fault of the
        // other shard: its rows may be stored, or not.
        let limit = shard.config.ack_timeout + shard.config.insert_timeout;
        match within::<R, _>(limit, answered).await {
            Some(Ok(HandedAnswer { stored, buffer })) => {
                shard.keep_buffer(buffer);
                stored
            }
            _ => Err(Refusal::unavailable(
                "the shard that was to store the request gave no answer; retry later",
            )),
        }
    }

    /// Decompresses what follows the framing and walks it into this shard's columns.
    fn walk(&mut self, form: Form) -> Result<Accepted, Refusal> {
        let Form {
            signal,
            encoding,
            syntax,
        } = form;
        if encoding != Encoding::Identity {
            self.step(|shard, packed, plain, room| inflate(shard, encoding, packed, plain, room))?;
        }
        if syntax == Syntax::Json {
            self.step(|shard, json, protobuf, room| {
                to_protobuf(shard, signal, json, protobuf, room)
            })?;
        }
        let body = &self.bytes[self.framing..];
        let accepted = self.shard.accept(signal, body, &self.reservation)?;
        // The bytes are in the columns now, and counted there.
        self.shard.keep_buffer(std::mem::take(&mut self.bytes));
        self.reservation.set(0);
        self.shard.accepted();
        Ok(accepted)
    }

    /// Replaces the body by what `make` makes of it. Only these two are ever held at once.
    fn step(
        &mut self,
        make: impl FnOnce(&Shard, &[u8], &mut Vec<u8>, usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut next = self.shard.buffer();
        // Nothing else runs meanwhile, so this room is not taken by others.
        let room = self.reservation.room() / BODY_GROWTH;
        let room = room.min(self.shard.config.request_bytes_max);
        let made = make(&self.shard, &self.bytes[self.framing..], &mut next, room);
        if made.is_err() {
            self.shard.keep_buffer(next);
            return made;
        }
        let held = self.reservation.bytes();
        self.reservation.grow(next.capacity())?;
        self.shard
            .keep_buffer(std::mem::replace(&mut self.bytes, next));
        self.framing = 0;
        self.reservation.shrink(held);
        Ok(())
    }
}

impl Accepted {
    /// Waits until the rows are stored, and says which were left out.
    async fn answer(self) -> Result<Rejected, Refusal> {
        if let Some(waiting) = self.waiting {
            waiting.answer().await?;
        }
        Ok(self.rejected)
    }
}

/// Does for another shard what `Body::store` does, and answers it.
pub(super) async fn store_handed<R: Reactor>(handed: HandedBody, shard: Rc<Shard>) {
    if handed.answer.is_closed() {
        // Its connection is gone, and nobody else knows of it.
        return;
    }
    let room = handed.bytes.capacity();
    let begun = R::thread_time();
    let mut body = Body {
        reservation: shard.memory.reservation(),
        framing: handed.framing,
        announced: None,
        bytes: handed.bytes,
        shard: Rc::clone(&shard),
    };
    let walked = body.walk(handed.form);
    drop(handed.place);
    if let Some(balance) = &shard.balance {
        balance.spent_for_others(R::thread_time().saturating_sub(begun));
    }
    let stored = match walked {
        Ok(accepted) => accepted.answer().await,
        Err(refusal) => Err(refusal),
    };
    // Most often the very one that came: with any other, one shard's buffers would have to grow each time.
    let buffer = shard.buffer_of(room);
    // The sender may have given up meanwhile; then nobody is left to tell.
    let _ = handed.answer.send(HandedAnswer { stored, buffer });
}

fn inflate(
    shard: &Shard,
    encoding: Encoding,
    packed: &[u8],
    plain: &mut Vec<u8>,
    room: usize,
) -> Result<(), Refusal> {
    let limit = shard.config.request_bytes_max;
    let inflated = shard.inflate().decompress(encoding, packed, plain, room);
    inflated.map_err(|error| match error {
        InflateError::Broken | InflateError::Window => Refusal::new(
            Kind::Invalid,
            format!("the body is not valid {}: {error}", encoding.name()),
        ),
        InflateError::TooLarge if room < limit => Refusal::no_memory(),
        InflateError::TooLarge => Refusal::too_large(limit, "decompressed"),
        InflateError::NoMemory => Refusal::unavailable("out of memory"),
    })
}

fn to_protobuf(
    shard: &Shard,
    signal: Signal,
    json: &[u8],
    protobuf: &mut Vec<u8>,
    room: usize,
) -> Result<(), Refusal> {
    let limit = shard.config.request_bytes_max;
    json::to_protobuf(signal, json, protobuf, room).map_err(|error| match error {
        JsonError::Invalid(_) => Refusal::new(Kind::Invalid, error.to_string()),
        JsonError::TooLarge if room < limit => Refusal::no_memory(),
        JsonError::TooLarge => Refusal::too_large(limit, "as protobuf"),
    })
}
