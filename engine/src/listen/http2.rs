//! One HTTP/2 connection of the gRPC port: its preface, its streams, and its end, each within bounds. What
//! h2 bounds itself is set here, what it leaves open is watched through `Peer`; a request goes on in `grpc`.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peer::{End, Why};
use super::{Linger, Stop, grpc, stopped};
use crate::limits::{
    CONNECTION_WINDOW, ERROR_RESETS_MAX, FRAME_BYTES, HEADER_BYTES_MAX, RESET_MEMORY,
    STREAM_WINDOW, STREAMS_MAX, UNSEEN_RESETS_MAX,
};
use crate::reactor::Reactor;
use crate::shard::Shard;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The answer to a client that speaks HTTP/1 here.
const WRONG_PROTOCOL: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain\r\nconnection: close\r\ncontent-length: 73\r\n\r\n\
    this port speaks OTLP/gRPC (HTTP/2); send OTLP/HTTP to the OTLP/HTTP port";

/// Serves one connection until its peer or the engine ends it.
pub(super) async fn serve<R: Reactor>(stream: Linger<R>, shard: Rc<Shard>, mut stop: Stop) {
    let peer = Rc::clone(stream.peer());
    let connection = tokio::select! {
        biased;
        _ = peer.asked_for_more(None) => return,
        () = stopped(&mut stop) => return,
        connection = open(stream) => connection,
    };
    let Some(mut connection) = connection else {
        return;
    };
    let mut handled = None;
    loop {
        let next = tokio::select! {
            biased;
            end = peer.asked_for_more(handled) => {
                handled = Some(end);
                match end {
                    End::Finish => connection.graceful_shutdown(),
                    End::Leave => connection.abrupt_shutdown(Reason::NO_ERROR),
                    End::Calm => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                    End::Cut => return,
                }
                continue;
            }
            () = stopped(&mut stop), if handled.is_none() => {
                peer.end(End::Finish, Why::Stop);
                continue;
            }
            next = connection.accept() => next,
        };
        match next {
            // Its peer does not listen, or has too many already. A refused stream may be begun anew.
            Some(Ok((_, mut respond))) if peer.overdue() || peer.crowded() => {
                respond.send_reset(Reason::REFUSED_STREAM);
            }
            Some(Ok((request, respond))) => {
                let (shard, calling) = (Rc::clone(&shard), peer.call());
                R::spawn(async move { grpc::call::<R>(request, respond, calling, &shard).await });
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "an HTTP/2 connection failed");
                if error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                    peer.count_end(Why::Flood);
                }
                return;
            }
            None => return,
        }
    }
}

/// Sees whether the peer speaks HTTP/2, and begins to.
async fn open<R: Reactor>(mut stream: Linger<R>) -> Option<Connection<Linger<R>, Bytes>> {
    let seen = read_preface(&mut stream).await.ok()?;
    if seen != PREFACE {
        // The peer may be gone already; there is nobody else to tell.
        let _ = stream.write_all(WRONG_PROTOCOL).await;
        let _ = stream.shutdown().await;
        return None;
    }
    stream.unread_preface(seen);
    // Bounded by h2 without being asked: CONTINUATION frames (5 a block) and what a block unpacks to (4
    // times the header list), empty DATA frames (100), small ones that lie unread (8 MiB of windows).
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_reset_streams(STREAMS_MAX as usize)
        .reset_stream_duration(RESET_MEMORY)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .handshake(stream);
    handshake.await.ok()
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
