//! One Export request, whichever transport brought it: its body is gathered within bounds, decompressed,
//! walked into the shard's columns, and answered when its rows are stored.

use std::rc::Rc;

use tokio::sync::oneshot;

use crate::balance::{HandedAnswer, HandedBody, Place};
use crate::decode::{Rejected, Signal};
use crate::form::{Form, Syntax};
use crate::inflate::{ENCODINGS, Encoding, InflateError};
use crate::json::{self, JsonError};
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
    reservation: Reservation,
    /// How many of these bytes the shard that handed them over has reserved.
    reserved_elsewhere: usize,
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
            reserved_elsewhere: 0,
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
            self.step(|shard, packed, plain| inflate(shard, encoding, packed, plain))?;
        }
        if syntax == Syntax::Json {
            self.step(|shard, json, protobuf| to_protobuf(shard, signal, json, protobuf))?;
        }
        let accepted = self.shard.accept(signal, &self.bytes[self.framing..])?;
        // The bytes are in the columns now, and counted there.
        self.shard.keep_buffer(std::mem::take(&mut self.bytes));
        self.reservation.set(0);
        Ok(accepted)
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
        let elsewhere = std::mem::take(&mut self.reserved_elsewhere);
        self.reservation.shrink(last.len() - elsewhere);
        self.shard.keep_buffer(last);
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
        reserved_elsewhere: handed.bytes.len(),
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
