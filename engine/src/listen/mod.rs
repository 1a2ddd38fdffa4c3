//! Where requests come in: sockets, the two transports, and the way of one body from its encoding into
//! the shard's columns. What comes out is an answer in the transport's own terms.

mod frames;
mod grpc;
mod handed;
mod http;
mod http2;
mod linger;
mod peer;
mod peers;
mod progress;
mod request;
mod response;
mod route;
mod sockets;

use std::rc::Rc;

use tokio::sync::watch;

use crate::balance::Place;
use crate::reactor::Reactor;
use crate::shard::Shard;

pub(crate) use handed::{HandedConnection, Peers, take_bodies, take_connections};
pub(crate) use http::{Answer, answer_http};
pub(crate) use linger::Linger;
pub(crate) use peer::{Calling, Why};
pub(crate) use peers::Connections;
pub use sockets::BindError;
pub(crate) use sockets::{bind, places};

/// Becomes true when the engine stops: listeners close, connections finish what is in flight.
pub(crate) type Stop = watch::Receiver<bool>;

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
            let stream = R::accept(&listener).await;
            connections.slot().await;
            stream
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
                connections.make_room();
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
    let open = connections.open(Some(metrics));
    let stream = Linger::new(
        stream,
        Rc::clone(&open.peer),
        Some(Rc::clone(&shard.memory)),
    );
    let (shard, stop) = (Rc::clone(shard), stop.clone());
    R::spawn(async move {
        let _held = (open, place);
        match transport {
            Transport::Grpc => http2::serve::<R>(stream, shard, stop).await,
            Transport::Http => http::serve::<R>(stream, shard, stop).await,
        }
    });
}

/// Returns when the engine stops.
pub(crate) async fn stopped(stop: &mut Stop) {
    // An error means that the engine is gone altogether.
    let _ = stop.wait_for(|stop| *stop).await;
}
