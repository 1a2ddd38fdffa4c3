//! Where requests come in: sockets, the two transports, and the way of one body from its encoding into
//! the shard's columns. What comes out is an answer in the transport's own terms.

mod grpc;
mod handed;
mod http;
mod linger;
mod request;
mod response;
mod route;
mod sockets;

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use crate::balance::Place;
use crate::limits::CONNECTIONS_MAX;
use crate::metrics::TransportMetrics;
use crate::reactor::Reactor;
use crate::shard::Shard;

pub(crate) use handed::{HandedConnection, Peers, take_bodies, take_connections};
pub(crate) use http::{Answer, answer_http};
pub(crate) use linger::Linger;
pub use sockets::BindError;
pub(crate) use sockets::bind;

/// Becomes true when the engine stops: listeners close, connections finish what is in flight.
pub(crate) type Stop = watch::Receiver<bool>;

/// Counts the connections of a shard, so that a full shard waits and a stopping one knows when it is done.
#[derive(Default)]
pub(crate) struct Connections {
    open: Cell<usize>,
    closed: Notify,
}

impl Connections {
    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
    }

    async fn slot(&self) {
        while self.open.get() >= CONNECTIONS_MAX {
            self.closed.notified().await;
        }
    }
}

/// A connection's place in the count; given back when it is dropped.
struct Open {
    connections: Rc<Connections>,
    metrics: TransportMetrics,
    /// Its place in what other shards see.
    _place: Option<Place>,
}

impl Open {
    fn new(
        connections: &Rc<Connections>,
        metrics: &TransportMetrics,
        place: Option<Place>,
    ) -> Self {
        connections.open.set(connections.open.get() + 1);
        metrics.connections.inc();
        Open {
            connections: Rc::clone(connections),
            metrics: metrics.clone(),
            _place: place,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.open.set(self.connections.open.get() - 1);
        self.metrics.connections.dec();
        self.connections.closed.notify_one();
    }
}

/// Which protocol a listening socket takes.
#[derive(Clone, Copy)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

/// Accepts connections and serves each in a task of its own or lets another shard do it, until the engine
/// stops.
pub(crate) async fn accept<R: Reactor>(
    transport: Transport,
    listener: R::Listener,
    shard: Rc<Shard>,
    connections: Rc<Connections>,
    peers: Peers<R>,
    mut stop: Stop,
) {
    loop {
        let accepted = async {
            connections.slot().await;
            R::accept(&listener).await
        };
        let stream = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            accepted = accepted => accepted,
        };
        let placed = stream
            .and_then(|stream| handed::keep_or_hand_over::<R>(transport, stream, &shard, &peers));
        match placed {
            Ok(Some((stream, place))) => {
                serve_connection::<R>(transport, stream, place, &shard, &connections, &stop);
            }
            Ok(None) => {}
            Err(error) => {
                // Out of descriptors, or a peer that left at once: neither ends the listener.
                tracing::warn!(%error, "a connection could not be accepted");
                R::sleep(crate::limits::BACKOFF_MIN).await;
            }
        }
    }
}

/// Serves a connection in a task of its own.
fn serve_connection<R: Reactor>(
    transport: Transport,
    stream: R::Stream,
    place: Option<Place>,
    shard: &Rc<Shard>,
    connections: &Rc<Connections>,
    stop: &Stop,
) {
    let metrics = match transport {
        Transport::Grpc => &shard.metrics.grpc,
        Transport::Http => &shard.metrics.http,
    };
    let stream = Linger::new(stream);
    let open = Open::new(connections, metrics, place);
    let (shard, stop) = (Rc::clone(shard), stop.clone());
    R::spawn(async move {
        let _open = open;
        match transport {
            Transport::Grpc => grpc::serve::<R>(stream, shard, stop).await,
            Transport::Http => http::serve::<R>(stream, shard, stop).await,
        }
    });
}

/// Returns when the engine stops.
pub(crate) async fn stopped(stop: &mut Stop) {
    // An error means that the engine is gone altogether.
    let _ = stop.wait_for(|stop| *stop).await;
}
