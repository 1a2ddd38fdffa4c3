//! OTLP/gRPC: HTTP/2 connections, unary Export calls, and gRPC's own way of saying how it went.
//! Sources: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of grpc/grpc) and the OTLP specification.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::request::{Body, encoding};
use super::response::ExportResponse;
use super::{Linger, Stop, route, stopped};
use crate::form::{Form, Syntax};
use crate::inflate::{ENCODINGS, Encoding};
use crate::limits::{
    BODY_TIMEOUT, CONNECTION_WINDOW, DISCARD_BYTES_MAX, DISCARD_TIMEOUT, FRAME_BYTES, HEAD_TIMEOUT,
    HEADER_BYTES_MAX, RESET_MEMORY, STREAM_WINDOW, STREAMS_MAX,
};
use crate::reactor::{Reactor, within};
use crate::refusal::{Kind, Refusal};
use crate::shard::Shard;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A gRPC message's own prefix: one byte "compressed", four bytes length.
const PREFIX: usize = 5;
/// The answer to a client that speaks HTTP/1 here.
const WRONG_PROTOCOL: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain\r\nconnection: close\r\ncontent-length: 73\r\n\r\n\
    this port speaks OTLP/gRPC (HTTP/2); send OTLP/HTTP to the OTLP/HTTP port";
/// Characters that `grpc-message` must not hold as they are.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// Serves one connection until its peer or the engine ends it.
pub(super) async fn serve<R: Reactor>(mut stream: Linger<R>, shard: Rc<Shard>, mut stop: Stop) {
    let preface = tokio::select! {
        biased;
        () = stopped(&mut stop) => return,
        preface = within::<R, _>(HEAD_TIMEOUT, read_preface(&mut stream)) => preface,
    };
    let Some(Ok(seen)) = preface else { return };
    if seen != PREFACE {
        // The peer may be gone already; there is nobody else to tell.
        let _ = stream.write_all(WRONG_PROTOCOL).await;
        let _ = stream.shutdown().await;
        return;
    }
    stream.unread(seen);
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_reset_streams(STREAMS_MAX as usize)
        .reset_stream_duration(RESET_MEMORY)
        .handshake::<_, Bytes>(stream);
    let Ok(mut connection) = handshake.await else {
        return;
    };
    let mut stopping = false;
    loop {
        let next = tokio::select! {
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
                continue;
            }
            next = connection.accept() => next,
        };
        match next {
            Some(Ok((request, respond))) => {
                let shard = Rc::clone(&shard);
                R::spawn(async move { call::<R>(request, respond, &shard).await });
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "an HTTP/2 connection failed");
                return;
            }
            None => return,
        }
    }
}

/// Reads until the preface is complete or cannot become one.
async fn read_preface(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> std::io::Result<Vec<u8>> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    while seen.len() < PREFACE.len() && PREFACE.starts_with(&seen) {
        let missing = PREFACE.len() - seen.len();
        let count = stream.take(missing as u64).read_buf(&mut seen).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(seen)
}

async fn call<R: Reactor>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    shard: &Rc<Shard>,
) {
    shard.metrics.grpc.requests.inc();
    let (head, mut body) = request.into_parts();
    let answer = if is_grpc(&head.headers) {
        match export::<R>(&head, &mut body, shard).await {
            Ok(taken) => send_taken(&mut respond, &taken),
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
        Ok(()) => discard::<R>(body).await,
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
    head: &Parts,
    stream: &mut RecvStream,
    shard: &Rc<Shard>,
) -> Result<ExportResponse, Refusal> {
    let path = head.uri.path();
    let signal = route::of_method(path).filter(|_| head.method == Method::POST);
    let signal = signal.ok_or_else(|| {
        Refusal::new(
            Kind::NotFound,
            format!("{path} is not a method of this server"),
        )
    })?;
    let encoding = encoding(head.headers.get("grpc-encoding"))?;
    let mut body = Body::begin(shard, PREFIX)?;
    let gathered = gather(stream, &mut body, shard);
    within::<R, _>(BODY_TIMEOUT, gathered)
        .await
        .unwrap_or_else(|| Err(Refusal::too_slow()))?;
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

/// Gathers the one message of a unary call.
async fn gather(
    stream: &mut RecvStream,
    body: &mut Body,
    shard: &Rc<Shard>,
) -> Result<(), Refusal> {
    let mut whole = None;
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| cut_short(&error))?;
        body.push(&data)?;
        shard.metrics.grpc.received_bytes.inc_by(data.len() as u64);
        stream
            .flow_control()
            .release_capacity(data.len())
            .map_err(|error| cut_short(&error))?;
        if whole.is_none() {
            whole = message_end(body)?;
        }
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

/// Where the message ends, once its prefix is there.
fn message_end(body: &Body) -> Result<Option<usize>, Refusal> {
    let Some(prefix) = body.bytes().first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let [_, length @ ..] = *prefix;
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

/// The request was taken: one message, and that all went well.
fn send_taken(respond: &mut SendResponse<Bytes>, taken: &ExportResponse) -> Result<(), h2::Error> {
    let length = taken.encoded_len();
    let mut message = BytesMut::with_capacity(PREFIX + length);
    message.put_u8(0);
    message.put_u32(length as u32);
    message.put(&taken.encode_to_vec()[..]);
    let mut stream = respond.send_response(response(), false)?;
    stream.send_data(message.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
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
