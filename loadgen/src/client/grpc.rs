//! One Export call over HTTP/2: framed bytes go out, an outcome comes back.

use std::io;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::answer::{self, Failure, Outcome};

/// For answers, which are small.
const WINDOW: u32 = 1 << 20;
/// An acknowledgement that is larger is none.
const ANSWER_BYTES_MAX: usize = 4 << 20;

pub(super) async fn handshake(stream: TcpStream) -> io::Result<SendRequest<Bytes>> {
    let builder = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .enable_push(false)
        .handshake(stream);
    let (sender, connection) = builder.await.map_err(io::Error::other)?;
    // What it ends with is seen by the calls on it.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// `sender` must be ready.
pub(super) async fn export(
    sender: &mut SendRequest<Bytes>,
    head: Request<()>,
    body: Bytes,
) -> Outcome {
    match call(sender, head, body).await {
        Ok(outcome) => outcome,
        Err(error) => {
            // A stream that the receiver says it has not touched is surely not stored.
            let untouched = error.reason() == Some(h2::Reason::REFUSED_STREAM);
            Outcome::Failed(Failure::broken(&error, !untouched))
        }
    }
}

async fn call(
    sender: &mut SendRequest<Bytes>,
    head: Request<()>,
    body: Bytes,
) -> Result<Outcome, h2::Error> {
    let (response, mut stream) = sender.send_request(head, false)?;
    stream.send_data(body, true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut data = BytesMut::new();
    while let Some(frame) = body.data().await {
        let frame = frame?;
        body.flow_control().release_capacity(frame.len())?;
        if data.len() + frame.len() <= ANSWER_BYTES_MAX {
            data.extend_from_slice(&frame);
        }
    }
    // A refusal may come in the headers alone.
    let trailers: HeaderMap = body.trailers().await?.unwrap_or(head.headers);
    Ok(answer::grpc(head.status, &trailers, &data))
}
