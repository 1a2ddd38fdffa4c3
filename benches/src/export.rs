//! Export calls over gRPC: a framed message goes out, an acknowledgement comes back, or an error.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;

const WINDOW: u32 = 1 << 20;

/// The path of traces.
pub const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The path of logs.
pub const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// The path of metrics.
pub const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Puts gRPC's five bytes before a message.
#[must_use]
pub fn frame(body: &[u8], gzip: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(u8::from(gzip));
    framed.put_u32(body.len() as u32);
    framed.put_slice(body);
    framed.freeze()
}

/// A connection to an engine.
///
/// # Errors
/// When there is none to be had.
pub async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let builder = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .handshake(stream);
    let (client, connection) = builder.await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One Export call to `path` with a framed message.
///
/// # Errors
/// When the connection breaks or the request is not acknowledged.
pub async fn export(
    client: SendRequest<Bytes>,
    path: &str,
    body: &Bytes,
    gzip: bool,
) -> Result<()> {
    match try_export(client, path, body, gzip).await? {
        Ok(()) => Ok(()),
        Err(refused) => bail!("a request was refused: {refused}"),
    }
}

/// The same, where a refusal is an answer like another: its words.
///
/// # Errors
/// When the connection breaks.
pub async fn try_export(
    client: SendRequest<Bytes>,
    path: &str,
    body: &Bytes,
    gzip: bool,
) -> Result<Result<(), String>> {
    let encoding = if gzip { "gzip" } else { "identity" };
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(())?;
    let mut client = client.ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(body.clone(), true)?;
    let response = response.await?;
    let refused = response.headers().get("grpc-message").cloned();
    let mut answer = response.into_body();
    while let Some(data) = answer.data().await {
        let length = data?.len();
        answer.flow_control().release_capacity(length)?;
    }
    let trailers = answer.trailers().await?;
    match trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"))
    {
        Some(status) if status == "0" => Ok(Ok(())),
        _ => Ok(Err(format!("{refused:?}"))),
    }
}
