//! OTLP/HTTP: HTTP/1.1 connections, POST of protobuf bodies, and answers as `google.rpc.Status`.
//! Source: the OTLP specification, "OTLP/HTTP".

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prost::Message as _;

use super::peer::{End, Peer, Why};
use super::progress::in_time;
use super::request::{Body, encoding};
use super::response::ExportResponse;
use super::{Calling, Linger, Stop, route, stopped};
use crate::form::{Form, Syntax};
use crate::inflate::ENCODINGS;
use crate::limits::{DISCARD_BYTES_MAX, DISCARD_TIMEOUT, HTTP1_BUFFER_BYTES, HTTP1_HEAD_BYTES_MAX};
use crate::reactor::{Reactor, within};
use crate::refusal::{Kind, Refusal};
use crate::shard::Shard;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A whole answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Serves one OTLP/HTTP connection until its peer or the engine ends it.
pub(super) async fn serve<R: Reactor>(stream: Linger<R>, shard: Rc<Shard>, stop: Stop) {
    answer_http::<R, _>(stream, stop, |request, calling| {
        let shard = Rc::clone(&shard);
        async move { call::<R>(request, calling, &shard).await }
    })
    .await;
}

/// Serves one HTTP/1.1 connection with `answer`, within the bounds that all of them have. The request is
/// in flight for as long as `answer` or what it spawns keeps its `Calling`.
pub(crate) async fn answer_http<R: Reactor, F: Future<Output = Answer>>(
    stream: Linger<R>,
    mut stop: Stop,
    answer: impl Fn(Request<Incoming>, Calling) -> F,
) {
    let peer = Rc::clone(stream.peer());
    let service = service_fn(|request| {
        peer.head_ends();
        let answer = answer(request, peer.call());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .max_header_size(HTTP1_HEAD_BYTES_MAX)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut handled = None;
    loop {
        tokio::select! {
            biased;
            end = peer.asked_for_more(handled) => match end {
                End::Finish => {
                    handled = Some(end);
                    connection.as_mut().graceful_shutdown();
                }
                End::Leave | End::Calm | End::Cut => return,
            },
            () = stopped(&mut stop), if handled.is_none() => peer.end(End::Finish, Why::Stop),
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP/1 connection failed");
                }
                return;
            }
        }
    }
}

async fn call<R: Reactor>(
    request: Request<Incoming>,
    calling: Calling,
    shard: &Rc<Shard>,
) -> Answer {
    shard.metrics.http.requests.inc();
    let (head, mut body) = request.into_parts();
    match export::<R>(&head, &mut body, calling.peer(), shard).await {
        Ok(answer) => answer,
        Err(refusal) => {
            shard.metrics.refused(refusal.kind);
            let syntax = syntax(content_type(&head.headers)).unwrap_or(Syntax::Protobuf);
            let mut answer = refused(&refusal, syntax);
            if body.is_end_stream() {
                return answer;
            }
            // A sender that asked whether to send its body has been told no.
            let asked = head.headers.contains_key(header::EXPECT);
            if asked || body.size_hint().lower() > DISCARD_BYTES_MAX as u64 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            } else {
                R::spawn(discard::<R>(body, calling));
            }
            answer
        }
    }
}

/// Reads off what a refused request still brings, while its answer is sent already: the connection then
/// goes on with the next request.
async fn discard<R: Reactor>(mut body: Incoming, _calling: Calling) {
    let mut left = DISCARD_BYTES_MAX;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    within::<R, _>(DISCARD_TIMEOUT, rest).await;
}

/// The content type without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// What a body of this content type is written in, if it is taken.
fn syntax(kind: &str) -> Option<Syntax> {
    if kind.eq_ignore_ascii_case(PROTOBUF) {
        Some(Syntax::Protobuf)
    } else if kind.eq_ignore_ascii_case(JSON) {
        Some(Syntax::Json)
    } else {
        None
    }
}

async fn export<R: Reactor>(
    head: &Parts,
    incoming: &mut Incoming,
    peer: &Peer,
    shard: &Rc<Shard>,
) -> Result<Answer, Refusal> {
    let path = head.uri.path();
    let signal = route::of_path(path).ok_or_else(|| {
        Refusal::new(
            Kind::NotFound,
            format!("{path} is not a path of this server"),
        )
    })?;
    if head.method != Method::POST {
        return Err(Refusal::new(Kind::Method, "send telemetry with POST"));
    }
    let kind = content_type(&head.headers);
    let syntax = syntax(kind).ok_or_else(|| {
        Refusal::new(
            Kind::ContentType,
            format!("content type {kind:?} is not taken; send {PROTOBUF} or {JSON}"),
        )
    })?;
    let encoding = encoding(head.headers.get(header::CONTENT_ENCODING))?;
    let mut body = Body::begin(shard, 0)?;
    body.announce(incoming.size_hint().lower() as usize)?;
    let arrived = Cell::new(0);
    let gathered = async {
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| {
                Refusal::new(Kind::Invalid, format!("the request was cut short: {error}"))
            })?;
            if let Some(data) = frame.data_ref() {
                shard.metrics.http.received_bytes.inc_by(data.len() as u64);
                body.push(data)?;
                arrived.set(body.bytes().len());
            }
        }
        Ok(())
    };
    in_time::<R>(peer, &arrived, gathered).await?;
    let form = Form {
        signal,
        encoding,
        syntax,
    };
    let rejected = body.store::<R>(form).await?;
    let taken = ExportResponse::new(&rejected);
    Ok(whole(match syntax {
        Syntax::Protobuf => (PROTOBUF, taken.encode_to_vec()),
        Syntax::Json => (JSON, taken.json(signal)),
    }))
}

/// A whole answer of this content type.
fn whole((kind, body): (&'static str, Vec<u8>)) -> Answer {
    let mut answer = Response::new(Full::from(body));
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn refused(refusal: &Refusal, syntax: Syntax) -> Answer {
    let mut answer = whole(match syntax {
        Syntax::Protobuf => (PROTOBUF, refusal.status().encode_to_vec()),
        Syntax::Json => (JSON, refusal.status_json()),
    });
    *answer.status_mut() =
        StatusCode::from_u16(refusal.kind.http()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = answer.headers_mut();
    if let Some(delay) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    match refusal.kind {
        Kind::Method => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        Kind::Encoding => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
        }
        _ => {}
    }
    answer
}
