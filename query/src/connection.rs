//! Sockets come in, requests go to the router: accepts up to a number of connections, and ends those
//! that are idle, that send their head too slowly, or that take none of their answer.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use crate::limits;
use crate::metrics::Metrics;

/// Accepts until `stopped`, then waits for the requests that run.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    metrics: Arc<Metrics>,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let open = GracefulShutdown::new();
    let mut stopped = pin!(async move {
        // An error means that the server was dropped.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    loop {
        let next = async {
            // Never closed, so a slot always comes.
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((listener.accept().await, slot))
        };
        let next = tokio::select! {
            biased;
            () = &mut stopped => break,
            next = next => next,
        };
        match next {
            Some((Ok((stream, _)), slot)) => {
                serve(stream, router.clone(), slot, &metrics, &open);
            }
            Some((Err(error), _)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    drop(listener);
    open.shutdown().await;
}

fn serve(
    stream: TcpStream,
    router: Router,
    slot: OwnedSemaphorePermit,
    metrics: &Arc<Metrics>,
    open: &GracefulShutdown,
) {
    // Without it answers may be late by 40 ms; a failure costs nothing else.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits::WRITE_TIMEOUT));
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let connection = open.watch(connection);
    let metrics = Arc::clone(metrics);
    metrics.connections.inc();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
        metrics.connections.dec();
        drop(slot);
    });
}
