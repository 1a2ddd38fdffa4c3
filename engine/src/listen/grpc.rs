//! OTLP/gRPC: one unary Export call from its headers on, and gRPC's own way of saying how it went.
//! Sources: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of grpc/grpc) and the OTLP specification.

use std::cell::Cell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;

use super::peer::Peer;
use super::progress::in_time;
use super::request::{Body, encoding};
use super::response::ExportResponse;
use super::{Calling, route};
use crate::decode::Signal;
use crate::form::{Form, Syntax};
use crate::inflate::{ENCODINGS, Encoding};
use crate::limits::{CALLS_MAX, DISCARD_BYTES_MAX, DISCARD_TIMEOUT};
use crate::reactor::{Reactor, within};
use crate::refusal::{Kind, Refusal};
use crate::shard::Shard;

/// A gRPC message's own prefix: one byte "compressed", four bytes length.
const PREFIX: usize = 5;
/// Characters that `grpc-message` must not hold as they are.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// Answers one call, and sees that its answer is taken.
pub(super) async fn call<R: Reactor>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    calling: Calling,
    shard: &Rc<Shard>,
) {
    shard.metrics.grpc.requests.inc();
    let (head, mut body) = request.into_parts();
    let answer = if is_grpc(&head.headers) {
        match export::<R>(head, &mut body, calling.peer(), shard).await {
            Ok(taken) => send_taken::<R>(&mut respond, &taken, calling.peer()).await,
            Err(refusal) => {
                shard.metrics.refused(refusal.kind);
                send_refusal(&mut respond, &refusal)
            }
        }
    } else {
        shard.metrics.refused(Kind::ContentType);
        send_not_grpc(&mut respond)
    };
    match answer {
        Ok(()) => {
            calling.peer().answered();
            discard::<R>(body).await;
        }
        Err(error) => tracing::debug!(%error, "an answer could not be sent"),
    }
}

/// Reads off what a refused request still brings. Dropping it unread would reset its stream instead, and
/// many reset streams with frames on their way end the connection: see `RESET_MEMORY`.
async fn discard<R: Reactor>(mut body: RecvStream) {
    let mut left = DISCARD_BYTES_MAX;
    let rest = async {
        while let Some(Ok(data)) = body.data().await
            && data.len() <= left
            && body.flow_control().release_capacity(data.len()).is_ok()
        {
            left -= data.len();
        }
    };
    within::<R, _>(DISCARD_TIMEOUT, rest).await;
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    let kind = kind.map_or(&[][..], HeaderValue::as_bytes);
    match kind.strip_prefix(b"application/grpc") {
        Some(b"" | b"+proto") => true,
        Some(rest) => rest.starts_with(b";") || rest.starts_with(b"+proto;"),
        None => false,
    }
}

async fn export<R: Reactor>(
    head: Parts,
    stream: &mut RecvStream,
    peer: &Peer,
    shard: &Rc<Shard>,
) -> Result<ExportResponse, Refusal> {
    let (signal, encoding) = asked(&head)?;
    // Up to 16 KiB of headers that nothing counts, for each of 256 streams.
    drop(head);
    if peer.calls() > CALLS_MAX {
        return Err(Refusal::unavailable(
            "too many requests of this connection wait to be stored",
        ));
    }
    let mut body = Body::begin(shard, PREFIX)?;
    let arrived = Cell::new(0);
    let gathered = gather(stream, &mut body, &arrived, shard);
    in_time::<R>(peer, &arrived, gathered).await?;
    let encoding = match body.bytes()[0] {
        0 => Encoding::Identity,
        1 if encoding != Encoding::Identity => encoding,
        _ => {
            return Err(Refusal::new(
                Kind::Invalid,
                "the message says it is compressed, its headers do not say how",
            ));
        }
    };
    let form = Form {
        signal,
        encoding,
        syntax: Syntax::Protobuf,
    };
    let rejected = body.store::<R>(form).await?;
    Ok(ExportResponse::new(&rejected))
}

/// The signal that the call's path takes, and what its message is compressed with if it is.
fn asked(head: &Parts) -> Result<(Signal, Encoding), Refusal> {
    let path = head.uri.path();
    let signal = route::of_method(path).filter(|_| head.method == Method::POST);
    let signal = signal.ok_or_else(|| {
        Refusal::new(
            Kind::NotFound,
            format!("{path} is not a method of this server"),
        )
    })?;
    Ok((signal, encoding(head.headers.get("grpc-encoding"))?))
}

/// Gathers the one message of a unary call; `arrived` says how much of it is there.
async fn gather(
    stream: &mut RecvStream,
    body: &mut Body,
    arrived: &Cell<usize>,
    shard: &Rc<Shard>,
) -> Result<(), Refusal> {
    let mut whole = None;
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| cut_short(&error))?;
        if whole.is_none() {
            whole = message_end(body, &data)?;
        }
        body.push(&data)?;
        arrived.set(body.bytes().len());
        shard.metrics.grpc.received_bytes.inc_by(data.len() as u64);
        stream
            .flow_control()
            .release_capacity(data.len())
            .map_err(|error| cut_short(&error))?;
        if whole.is_some_and(|whole| body.bytes().len() > whole) {
            return Err(Refusal::new(
                Kind::Invalid,
                "a unary call holds more than one message",
            ));
        }
    }
    if whole != Some(body.bytes().len()) {
        return Err(Refusal::new(
            Kind::Invalid,
            "the message ends before its length says",
        ));
    }
    Ok(())
}

/// Where the message ends, once its prefix is there with what comes `next`. That it is too large is said
/// before there may be no room for what came of it.
fn message_end(body: &mut Body, next: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut prefix = [0; PREFIX];
    let bytes = body.bytes().iter().chain(next);
    if prefix
        .iter_mut()
        .zip(bytes)
        .map(|(to, from)| *to = *from)
        .count()
        < PREFIX
    {
        return Ok(None);
    }
    let [_, length @ ..] = prefix;
    let length = u32::from_be_bytes(length) as usize;
    body.announce(length)?;
    Ok(Some(PREFIX + length))
}

fn cut_short(error: &h2::Error) -> Refusal {
    Refusal::new(Kind::Invalid, format!("the request was cut short: {error}"))
}

fn response() -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(ENCODINGS));
    response
}

/// The request was taken: one message, and that all went well. A peer that gives no credit for so little
/// has its stream reset after a while, so that it cannot hold all its streams for ever.
async fn send_taken<R: Reactor>(
    respond: &mut SendResponse<Bytes>,
    taken: &ExportResponse,
    peer: &Peer,
) -> Result<(), h2::Error> {
    let length = taken.encoded_len();
    let mut message = BytesMut::with_capacity(PREFIX + length);
    message.put_u8(0);
    message.put_u32(length as u32);
    message.put(&taken.encode_to_vec()[..]);
    let mut stream = respond.send_response(response(), false)?;
    stream.reserve_capacity(message.len());
    let credit = credit(&mut stream, message.len());
    match within::<R, _>(peer.limits().answer, credit).await {
        Some(credit) => credit?,
        None => {
            stream.send_reset(Reason::CANCEL);
            return Err(Reason::CANCEL.into());
        }
    }
    stream.send_data(message.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

/// Waits until the peer takes `length` bytes on this stream.
async fn credit(stream: &mut SendStream<Bytes>, length: usize) -> Result<(), h2::Error> {
    while stream.capacity() < length {
        let more = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        // The stream was reset, or its connection is gone.
        more.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
    }
    Ok(())
}

fn send_refusal(respond: &mut SendResponse<Bytes>, refusal: &Refusal) -> Result<(), h2::Error> {
    let mut response = response();
    let headers = response.headers_mut();
    let status = refusal.status();
    headers.insert("grpc-status", HeaderValue::from(status.code));
    let message = utf8_percent_encode(&refusal.message, MESSAGE_ESCAPES).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    if !status.details.is_empty() {
        let details = STANDARD_NO_PAD.encode(status.encode_to_vec());
        if let Ok(details) = HeaderValue::try_from(details) {
            headers.insert("grpc-status-details-bin", details);
        }
    }
    respond.send_response(response, true).map(drop)
}

/// As gRPC wants it: a request that is no gRPC is answered in plain HTTP.
fn send_not_grpc(respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    respond.send_response(response, true).map(drop)
}
