//! One Export request over HTTP/1.1: a body goes out, an outcome comes back.

use std::io;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake as begin};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer::{self, Failure, Outcome};

/// An acknowledgement that is larger is none.
const ANSWER_BYTES_MAX: usize = 4 << 20;

pub(super) async fn handshake(stream: TcpStream) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = begin(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // What it ends with is seen by the calls on it.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// `sender` must be ready.
pub(super) async fn export(
    sender: &mut SendRequest<Full<Bytes>>,
    head: Request<()>,
    body: Bytes,
    json: bool,
) -> Outcome {
    let response = match sender.send_request(head.map(|()| Full::new(body))).await {
        Ok(response) => response,
        Err(error) => return Outcome::Failed(Failure::broken(&error, !error.is_canceled())),
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(body) => answer::http(head.status, &head.headers, &body.to_bytes(), json),
        Err(error) => Outcome::Failed(Failure::broken(&*error, true)),
    }
}
